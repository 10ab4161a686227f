"""Broken images and maps of labels are refused by their names."""

import cv2
import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

import mmsnn  # noqa: F401
from mmsnn.data_files.images import ImageFileError, fault_of

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), 'u1')
LABELS = np.zeros((40, 60), 'u1')


def encode(suffix, pixels=PIXELS, *options):
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def load(path, **keys):
    transform = TRANSFORMS.build(dict(type='mmcv.LoadImageFromFile', **keys))
    return transform(dict(img_path=str(path)))


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'bmp', 'webp', 'tif'])
def test_images_that_were_cut_off(tmp_path, suffix):
    path, content = tmp_path / f'a.{suffix}', encode(f'.{suffix}')
    path.write_bytes(content)
    whole = load(path)['img']
    assert whole.shape == PIXELS.shape
    for size in (0, 1, 10, len(content) // 2, len(content) - 2):
        path.write_bytes(content[:size])
        with pytest.raises(ImageFileError, match=f'{path}: it .*; replace'):
            load(path)
    # What lies behind an image belongs to it no more.
    path.write_bytes(content + b'\xff\xda\xff\xd8 more')
    assert np.array_equal(load(path)['img'], whole)


def test_each_place_where_a_jpeg_may_be_cut_off():
    # With many scans, of which each is preceded by tables.
    content = encode('.jpg', PIXELS, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert not fault_of(content) and not fault_of(content + b'more')
    assert all(fault_of(content[:n]) for n in range(2, len(content) - 1))


@pytest.mark.parametrize('keys', [dict(), dict(imdecode_backend='pillow')])
def test_what_is_no_image(tmp_path, keys):
    path = tmp_path / 'a.jpg'
    path.write_text('a text')
    with pytest.raises(ImageFileError, match=f'{path}: it is no image'):
        load(path, **keys)
    assert load(path, ignore_empty=True, **keys) is None  # as upstream


def load_labels(tmp_path, labels, scope):
    path, image = tmp_path / 'labels.png', tmp_path / 'a.png'
    path.write_bytes(
        encode('.png', labels) if isinstance(labels, np.ndarray) else labels)
    image.write_bytes(encode('.png'))
    results = load(image) | dict(
        seg_map_path=str(path), reduce_zero_label=False, seg_fields=[])
    keys = dict(with_bbox=False, with_label=False, with_seg=True)
    transform = TRANSFORMS.build(
        dict(type=f'{scope}.LoadAnnotations',
             **({} if scope == 'mmseg' else keys)))
    return transform(results)['gt_seg_map']


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet', 'mmcv'])
@pytest.mark.parametrize('labels, said', [
    (LABELS[:20], 'it has 60 x 20 pixels, but the image has 60 x 40'),
    (PIXELS, 'it has 3 channels'),
    (LABELS.astype('u2') + 300, 'its labels go from 300 to 300'),
    (b'', 'it has 0 bytes'),
    (b'a text', 'it is no image'),
])
def test_maps_of_labels(tmp_path, labels, said, scope):
    if scope == 'mmcv' and '300' in said:  # it reads two bytes as they are
        assert load_labels(tmp_path, labels, scope).max() == 300
        return
    with pytest.raises(ImageFileError,
                       match=rf'labels.png, the labels of .*a.png: {said}'):
        load_labels(tmp_path, labels, scope)


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet', 'mmcv'])
def test_a_map_that_fits(tmp_path, scope):
    for labels in (LABELS + 255, LABELS.astype('u2') + 7):
        found = load_labels(tmp_path, labels, scope)
        assert np.array_equal(found, labels)
