"""Annotation files and folders that can not be trained on are refused."""

import json
import math
import warnings

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

import mmsnn  # noqa: F401


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'img').mkdir()
    cv2.imwrite('img/a.jpg', np.zeros((40, 60, 3), 'u1'))


def annotation(**changes):
    return dict(id=7, image_id=1, category_id=1, bbox=[1, 2, 10, 10],
                area=100) | changes


def coco(*annotations, **changes):
    """A file in COCO's format, of one image, and its data set."""
    image = dict(id=1, file_name='a.jpg', width=60, height=40)
    content = dict(
        images=[image], annotations=annotations,
        categories=[dict(id=1, name='a'), dict(id=5, name='b')]) | changes
    return build_coco(json.dumps(content))


def build_coco(content, classes=('a', 'b')):
    with open('train.json', 'w') as file:
        file.write(content)
    return DATASETS.build(
        dict(type='mmdet.CocoDataset', ann_file='train.json',
             data_prefix=dict(img='img/'), metainfo=dict(classes=classes),
             filter_cfg=dict(filter_empty_gt=True)))


def test_what_is_right_is_read_as_before():
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        data = coco(annotation(), annotation(id=8, category_id=5))
    info = data.get_data_info(0)
    assert [i['bbox_label'] for i in info['instances']] == [0, 1]
    assert info['instances'][0]['bbox'] == [1, 2, 11, 12]


@pytest.mark.parametrize('box', [
    [math.nan, 0, 1, 1], [0, 0, -3, 4], [0, 0, 4, math.inf], [0, 0, 1],
    ['a', 0, 1, 1], None])
def test_boxes_that_are_none(box):
    with pytest.raises(ValueError,
                       match='train.json: annotation 7: bbox .* is no box'):
        coco(annotation(bbox=box))


@pytest.mark.parametrize('box', [[60, 0, 5, 5], [0, 40, 5, 5],
                                 [-10, 0, 10, 5], [0, -9, 5, 5]])
def test_boxes_outside_the_image_are_counted(box):
    with pytest.warns(UserWarning, match='outside their image are left out: '
                      '1, the first is .* of annotation 8'):
        data = coco(annotation(), annotation(id=8, bbox=box))
    assert len(data.get_data_info(0)['instances']) == 1


@pytest.mark.parametrize('changes, said', [
    (dict(annotations=[annotation(category_id=9)]),
     'annotation 7: category_id 9 is not among the categories'),
    (dict(categories=[dict(id=1, name='a')]), "its categories lack 'b' of .*"
     "set metainfo=dict.* .they are 'a'"),
    (dict(images=[dict(id=1, file_name='a.jpg', width=0, height=3)]),
     'image 1 must have file_name, width and height'),
    (dict(images=[dict(id=1, file_name='a.jpg')]), 'image 1 must have'),
    (dict(annotations=[dict(id=7)]), "the key 'image_id' is missing"),
    (dict(annotations=[{k: v for k, v in annotation().items()
                        if k != 'area'}]), "the key 'area' is missing"),
    (dict(annotations=[annotation(area=math.nan)]),
     'annotation 7: area nan is no finite number'),
    (dict(annotations=[annotation(area=None)]),
     'annotation 7: area None is no finite number'),
    (dict(annotations=[]), 'no image is left of train.json .ann_file of '
     'CocoDataset.; filter_cfg = .*filter_empty_gt'),
])
def test_parts_that_are_missing(changes, said):
    with pytest.raises(ValueError, match=f'train.json.*{said}|{said}'):
        coco(**({'annotations': [annotation()]} | changes))


@pytest.mark.parametrize('changes', [
    dict(annotations=[annotation(bbox=[1] * 9999)]),
    dict(annotations=[annotation(category_id='\x1b' * 999)]),
    dict(annotations=[annotation(id='\x1b' * 999, bbox=None)]),
    dict(images=[dict(id='\x1b' * 999, file_name=8, width='\0' * 99)]),
    dict(categories=[dict(id=1, name='\x1b' * 999)])])
def test_messages_are_short_and_can_be_printed(changes):
    with pytest.raises(ValueError, match='train.json') as error:
        coco(**({'annotations': [annotation()]} | changes))
    assert len(str(error.value)) < 400 and str(error.value).isprintable()


@pytest.mark.parametrize('content', ['', '{"images": [1, 2', '[]', '\0',
                                     '{"images": 5}', '[' * 100_000])
def test_what_is_no_such_file(content):
    with pytest.raises(ValueError, match='train.json is no annotation file in '
                       "COCO's format: "):
        build_coco(content)


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError,
                       match='ann_file of CustomDataset.*nowhere.txt'):
        classes(None, ann_file='nowhere.txt')


def segmentation(label, **keys):
    cv2.imwrite('img/a.png', np.full((40, 60), label, 'u1'))
    load = [dict(type='mmcv.LoadImageFromFile'),
            dict(type='mmseg.LoadAnnotations'),
            dict(type='mmseg.PackSegInputs')]
    return DATASETS.build(
        dict(type='mmseg.BaseSegDataset', pipeline=load,
             data_prefix=dict(img_path='img', seg_map_path='img'),
             metainfo=dict(classes=('a', 'b', 'c')), **keys))


def test_labels_of_no_class():
    for label in (0, 2, 255):
        sample = segmentation(label)[0]['data_samples']
        assert (sample.gt_sem_seg.data == label).all()
    with pytest.raises(ValueError, match='img/a.png, the labels of .*: label 3'
                       ' is of none of the 3 classes of BaseSegDataset: they '
                       'are 0 to 2, or 255 for none; see its metainfo.classes '
                       'and reduce_zero_label'):
        segmentation(3)[0]
    assert segmentation(3, reduce_zero_label=True)[0]
    assert segmentation(9, ignore_index=9)[0]


def test_a_folder_without_images():
    with pytest.raises(ValueError, match='no image is left of img, img '
                       ".data_prefix of BaseSegDataset.; img_suffix = '.tif'"):
        segmentation(0, img_suffix='.tif')
    with pytest.raises(ValueError, match='no image is left'):
        segmentation(0, img_suffix='.tif', serialize_data=False)


def classes(lines, ann_file='train.txt'):
    if lines is not None:
        with open(ann_file, 'w') as file:
            file.write(lines)
    return DATASETS.build(
        dict(type='mmpretrain.CustomDataset', data_prefix='img',
             ann_file=ann_file, metainfo=dict(classes=('a', 'b')),
             pipeline=[dict(type='mmcv.LoadImageFromFile'),
                       dict(type='mmpretrain.PackInputs')]))


def test_classification():
    assert classes('a.jpg 1')[0]['data_samples'].gt_label.tolist() == [1]
    for label in (2, -1):
        with pytest.raises(ValueError, match=f'img/a.jpg: label {label} is of '
                           'none of the 2 classes of CustomDataset'):
            classes(f'a.jpg {label}')[0]
    for lines in ('a.jpg', 'a.jpg x', 'a.jpg 1\n\n'):
        with pytest.raises(ValueError, match='train.txt .ann_file of Custom'):
            classes(lines)
    with pytest.raises(ValueError, match='no image is left of .*train.txt'):
        classes('')
