"""The digit scenes, read by upstream's own dataset classes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

from mmsnn.datasets import digit_scenes, prepare_digit_scenes
from mmsnn.datasets.digits.generated_folder import MANIFEST, FolderCacheError
from mmsnn.datasets.digits.render import DigitPool, SceneSpec

SCENES = dict(seed=5, size=48, digit_height=(16, 24), train=6, val=3)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return prepare_digit_scenes(
        tmp_path_factory.mktemp('digits') / 'scenes', **SCENES)


@pytest.fixture(scope='module')
def pool():
    return DigitPool(SCENES['seed'])


def build(root, **kwargs):
    return digit_scenes(root=str(root), scenes=SCENES, **kwargs)


def test_the_same_seed_gives_the_same_bytes(root, tmp_path):
    again = prepare_digit_scenes(tmp_path / 'again', **SCENES)
    assert (again / MANIFEST).read_bytes() == (root / MANIFEST).read_bytes()
    other = prepare_digit_scenes(tmp_path / 'other', **{**SCENES, 'seed': 6})
    digests = [
        json.loads((folder / MANIFEST).read_text())['digest']
        for folder in (root, other)
    ]
    assert digests[0] != digests[1]


@pytest.mark.parametrize('split, count', [('train', 1438), ('val', 359)])
def test_classification_images(root, pool, split, count):
    pytest.importorskip('mmpretrain')
    dataset = build(root, task='cls', split=split)
    assert type(dataset).__name__ == 'CustomDataset'
    assert len(dataset) == count
    assert dataset.CLASSES == tuple('0123456789')
    digits = [Path(dataset[i]['img_path']) for i in range(count)]
    indices = [int(path.stem) for path in digits]
    assert sorted(indices) == pool.indices[split].tolist()
    assert [dataset[i]['gt_label'] for i in range(count)
            ] == pool.labels[indices].tolist()
    assert cv2.imread(str(digits[0])).shape == (32, 32, 3)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_detection_annotations(root, pool, split):
    pytest.importorskip('mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = build(
            root, task='det', split=split, pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
            ])
        assert type(dataset).__name__ == 'CocoDataset'
        assert len(dataset) == SCENES[split]
        assert dataset.metainfo['classes'] == tuple('0123456789')
        spec = SceneSpec(**SCENES)
        for number in range(len(dataset)):
            sample = dataset[number]
            scene = pool.render(spec, split, number)
            assert np.array_equal(sample['img'], scene.image[..., ::-1])
            assert sample['gt_bboxes_labels'].tolist() == list(scene.labels)
            masks = sample['gt_masks'].to_ndarray()
            for i, box in enumerate(sample['gt_bboxes'].tensor.tolist()):
                rows, columns = np.where(scene.instances == i + 1)
                assert box == [columns.min(), rows.min(),
                               columns.max() + 1, rows.max() + 1]
                assert masks[i][rows, columns].all()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_segmentation_masks(root, pool, split):
    pytest.importorskip('mmseg')
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = build(
            root, task='seg', split=split, pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations')
            ])
        assert type(dataset).__name__ == 'BaseSegDataset'
        assert len(dataset) == SCENES[split]
        assert dataset.metainfo['classes'] == ('background', *'0123456789')
        assert len(dataset.metainfo['palette']) == 11
        spec = SceneSpec(**SCENES)
        for number in range(len(dataset)):
            scene = pool.render(spec, split, number)
            expected = np.zeros((48, 48), int)
            for i, label in enumerate(scene.labels):
                expected[scene.instances == i + 1] = label + 1
            sample = dataset[number]
            assert np.array_equal(sample['gt_seg_map'], expected)
            assert np.array_equal(sample['img'], scene.image[..., ::-1])


def test_splits_share_no_handwritten_digit_on_disk(root):
    used = {}
    for split in ('train', 'val'):
        content = json.loads(
            (root / f'det/annotations/instances_{split}.json').read_text())
        used[split] = {a['digit'] for a in content['annotations']}
        used[split] |= {
            int(path.stem) for path in root.glob(f'cls/{split}/*/*.png')
        }
    assert len(used['train']) == 1438 and len(used['val']) == 359
    assert not used['train'] & used['val']


def test_the_type_resolves_under_another_scope(root):
    pytest.importorskip('mmpretrain')
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(
            dict(
                type='mmsnn.DigitScenes', root=str(root), task='cls',
                split='val', scenes=SCENES))
    assert len(dataset) == 359


def test_a_damaged_cache_is_named(root, tmp_path):
    copy = tmp_path / 'copy'
    prepare_digit_scenes(copy, **SCENES)
    (copy / 'images/training/000002.png').write_bytes(b'half')
    with pytest.raises(FolderCacheError) as error:
        build(copy)
    assert str(copy) in str(error.value)
    assert 'digit_scenes.py' in str(error.value)
    assert '--overwrite' in str(error.value)
    prepare_digit_scenes(copy, overwrite=True, **SCENES)
    assert (copy / MANIFEST).read_bytes() == (root / MANIFEST).read_bytes()


def test_other_parameters_are_refused(root):
    with pytest.raises(FolderCacheError,
                       match='train is 6 there and 7 is asked for'):
        digit_scenes(root=str(root), scenes=dict(SCENES, train=7))


@pytest.mark.parametrize('kwargs, words', [
    (dict(task='pose'), "task .* cls, det, seg, got 'pose'"),
    (dict(split='test'), "split .* train, val, got 'test'"),
    (dict(scenes=dict(colour=1)), 'colour is no parameter .* seed, size'),
])
def test_bad_keys_are_named(kwargs, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        digit_scenes(root=str(tmp_path / 'none'), **kwargs)
    assert not (tmp_path / 'none').exists()


def test_two_processes_without_mmdet_and_mmseg(tmp_path):
    # Both ask for the same scenes at once; one generates, both read.
    pytest.importorskip('mmpretrain')
    code = (
        'import sys\n'
        'sys.modules["mmdet"] = sys.modules["mmseg"] = None\n'
        'from mmsnn.datasets import digit_scenes\n'
        f'data = digit_scenes({str(tmp_path / "x")!r}, "cls", "val",\n'
        f'                    scenes={SCENES})\n'
        'print("images", len(data))')
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[3]))
    processes = [
        subprocess.Popen([sys.executable, '-c', code], env=env, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert all('images 359' in output for output in outputs), outputs
    generated = [output.count('Generating') for output in outputs]
    assert sorted(generated) == [0, 1]


def test_names_of_classes_alone_generate_nothing(tmp_path):
    pytest.importorskip('mmdet')
    dataset = build(tmp_path / 'none', task='det', lazy_init=True)
    assert dataset.metainfo['classes'] == tuple('0123456789')
    assert dataset.metainfo['palette'][0] == (230, 25, 75)
    assert not list(tmp_path.iterdir())


#: Standard keys of a data set -> how a data set of two scenes shows them.
KEYS = dict(
    data_root=lambda dataset, root: dataset.data_root == str(root),
    indices=lambda dataset, root: len(dataset) == 2,
    test_mode=lambda dataset, root: dataset.test_mode is True,
    pipeline=lambda dataset, root: len(dataset.pipeline.transforms) == 1,
    lazy_init=lambda dataset, root: not dataset._fully_initialized,
    serialize_data=lambda dataset, root: not dataset.serialize_data,
    max_refetch=lambda dataset, root: dataset.max_refetch == 7,
    filter_cfg=lambda dataset, root: dataset.filter_cfg == dict(min_size=1),
    metainfo=lambda dataset, root: dataset.metainfo['note'] == 'mine' and len(
        dataset.metainfo['classes']) in (10, 11),
    ann_file=lambda dataset, root: Path(dataset.ann_file).name == 'mine',
    data_prefix=lambda dataset, root: 'images/validation' in str(
        dataset.data_prefix),
)
VALUES = dict(
    indices=2, test_mode=True, pipeline=[dict(type='LoadImageFromFile')],
    lazy_init=True, serialize_data=False, max_refetch=7,
    filter_cfg=dict(min_size=1), metainfo=dict(note='mine'))


@pytest.mark.parametrize('key', KEYS)
@pytest.mark.parametrize('task, framework', [
    ('cls', 'mmpretrain'), ('det', 'mmdet'), ('seg', 'mmseg')])
def test_standard_keys_of_data_sets(root, tmp_path, task, framework, key):
    pytest.importorskip(framework)
    values = dict(
        VALUES, data_root=str(root), ann_file='mine',
        data_prefix=dict(
            cls='images/validation', det=dict(img='images/validation'),
            seg=dict(img_path='images/validation'))[task])
    given = {key: values[key]}
    if key == 'ann_file':  # which is empty
        (root / 'mine').write_text('{"images": [], "annotations": []}')
        given.update(lazy_init=True)
    if key == 'data_prefix':
        given.update(lazy_init=True)
    with DefaultScope.overwrite_default_scope(framework):
        dataset = DATASETS.build(
            dict(type='mmsnn.DigitScenes', task=task, scenes=SCENES,
                 **dict(dict(root=str(tmp_path / 'none')), **given)
                 if key == 'data_root' else dict(root=str(root), **given)))
    (root / 'mine').unlink(missing_ok=True)
    assert KEYS[key](dataset, root)
    assert not (tmp_path / 'none').exists()


def test_other_classes(root):
    """Digits that are left out are no instances, and no gap in labels."""
    pytest.importorskip('mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        every = build(root, task='det')
        some = build(root, task='det', metainfo=dict(classes=('1', '3')))
    labels = [[i['bbox_label'] for i in every.get_data_info(n)['instances']]
              for n in range(len(every))]
    expected = [[(1, 3).index(x) for x in each if x in (1, 3)]
                for each in labels]
    assert [[i['bbox_label'] for i in some.get_data_info(n)['instances']]
            for n in range(len(some))] == expected
    assert sum(map(len, expected)) < sum(map(len, labels))
