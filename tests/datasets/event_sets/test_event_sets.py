"""Data sets of recordings, in small copies of their folders."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

from mmsnn.datasets import read_events
from mmsnn.datasets.event_sets import base
from mmsnn.datasets.event_sets.dvs_gesture import cut_gestures
from mmsnn.datasets.event_sets.gen1 import convert_gen1, read_boxes
from mmsnn.datasets.events import EventFileError

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / 'shared' / 'data'
EVENT = bytes([3, 7, 128, 1, 0])  # N-MNIST's form: t 256, x 3, y 7, p 1


def build(name, root, **kwargs):
    return DATASETS.build(dict(type=f'mmsnn.{name}', data_root=str(root),
                               **kwargs))


def put(root, *names, content=EVENT):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def listed(dataset):
    """Path below the root and label of each sample."""
    root = Path(dataset.data_root)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [(Path(i['events_path']).relative_to(root).as_posix(),
             i['gt_label']) for i in infos]


@pytest.fixture
def summaries(monkeypatch):
    """What was logged."""
    lines = []
    monkeypatch.setattr(base, 'print_log',
                        lambda text, **kwargs: lines.append(text))
    return lines


class TestFolder:

    def test_tree(self, tmp_path):
        put(tmp_path, 'train/b/1.bin', 'train/a/2.raw', 'train/a/deep/1.npz',
            'train/a/notes.txt', 'Test/a/3.bin')
        dataset = build('EventFolder', tmp_path)
        assert listed(dataset) == [('train/a/2.raw', 0),
                                   ('train/a/deep/1.npz', 0),
                                   ('train/b/1.bin', 1)]
        assert dataset.CLASSES == ('a', 'b') and not dataset.test_mode
        assert dataset.get_cat_ids(2) == [1]
        dataset = build('EventFolder', tmp_path, split='test',
                        metainfo=dict(classes=('b', 'a')))
        assert listed(dataset) == [('Test/a/3.bin', 1)]
        assert dataset.test_mode
        assert len(build('EventFolder', tmp_path, suffixes=('.bin', ))) == 1

    def test_standard_keys(self, tmp_path):
        put(tmp_path, 'train/a/1.bin', 'train/a/2.bin', 'train/b/1.bin')
        dataset = build(
            'EventFolder', tmp_path, indices=2, test_mode=True,
            serialize_data=False, max_refetch=7, sensor_size=(34, 34),
            metainfo=dict(note='mine'),
            pipeline=[dict(type='mmsnn.LoadEvents')])
        assert len(dataset) == 2 and len(dataset[0]['events']) == 1
        assert dataset.test_mode and not dataset.serialize_data
        assert dataset.max_refetch == 7
        assert dataset.metainfo == dict(note='mine', classes=('a', 'b'))
        lazy = build('EventFolder', tmp_path, lazy_init=True)
        assert not lazy._fully_initialized

    @pytest.mark.parametrize('key, value', [
        ('ann_file', 'mine.txt'), ('data_prefix', dict(img_path='train')),
        ('filter_cfg', dict(min_size=1))])
    def test_keys_without_effect_are_named(self, tmp_path, key, value):
        put(tmp_path, 'train/a/1.bin')
        with pytest.raises(ValueError, match=f'{key} of EventFolder would'):
            build('EventFolder', tmp_path, **{key: value})

    def test_faults(self, tmp_path, summaries):
        put(tmp_path, 'train/a/1.bin', 'train/c/1.bin')
        classes = dict(classes=('a', 'b'))
        with pytest.raises(ValueError, match='train/c is no folder of a cl'):
            build('EventFolder', tmp_path, metainfo=classes)
        assert not summaries
        dataset = build('EventFolder', tmp_path, metainfo=classes,
                        on_error='skip')
        assert listed(dataset) == [('train/a/1.bin', 0)]
        assert 'EventFolder: 1 samples left out; the first: ' in summaries[0]
        with pytest.raises(FileNotFoundError, match='neither .*/val nor'):
            build('EventFolder', tmp_path, split='val')
        with pytest.raises(FileNotFoundError, match='there is no folder'):
            build('EventFolder', tmp_path / 'none')
        (tmp_path / 'empty' / 'a').mkdir(parents=True)
        with pytest.raises(FileNotFoundError, match='has no samples of split'):
            build('EventFolder', tmp_path, split='empty')
        with pytest.raises(ValueError, match="raise, skip, got 'no'"):
            build('EventFolder', tmp_path, on_error='no')


def test_nmnist(tmp_path):
    put(tmp_path, 'Train/0/00002.bin', 'Train/9/00001.bin', 'Test/3/1.bin')
    dataset = build('NMNIST', tmp_path)
    assert listed(dataset) == [('Train/0/00002.bin', 0),
                               ('Train/9/00001.bin', 9)]
    assert dataset[0]['sensor_size'] == (34, 34)
    assert listed(build('NMNIST', tmp_path, split='test')) == [
        ('Test/3/1.bin', 3)]
    with pytest.raises(ValueError, match="train, test, got 'val'"):
        build('NMNIST', tmp_path, split='val')


def test_size_of_the_sensor(tmp_path):
    put(tmp_path, 'train/a/1.bin')
    load = [dict(type='mmsnn.LoadEvents')]
    with pytest.raises(ValueError, match='size of the sensor is not in the'):
        build('EventFolder', tmp_path, pipeline=load)[0]
    dataset = build('EventFolder', tmp_path, pipeline=load, sensor_size=(9, 8))
    assert dataset[0]['sensor_size'] == (9, 8)
    with pytest.raises(EventFileError, match='outside the sensor.* is 3x8'):
        build('EventFolder', tmp_path, pipeline=load, sensor_size=(3, 8))[0]
    with pytest.raises(ValueError, match='sensor_size of EventFolder must'):
        build('EventFolder', tmp_path, sensor_size=(3, ))


def test_ncaltech101(tmp_path):
    put(tmp_path, *(f'{name}/image_{i:04d}.bin' for name in ('ant', 'bird')
                    for i in range(20)))
    train = listed(build('NCaltech101', tmp_path))
    test = listed(build('NCaltech101', tmp_path, split='test'))
    assert (len(train), len(test)) == (36, 4)
    assert sorted(label for _, label in test) == [0, 0, 1, 1]
    assert len({path for path, _ in train + test}) == 40
    assert test == listed(build('NCaltech101', tmp_path, split='test'))
    assert test != listed(build('NCaltech101', tmp_path, split='test', seed=1))
    with pytest.raises(ValueError, match='test_ratio'):
        build('NCaltech101', tmp_path, test_ratio=1.)


def test_cifar10dvs(tmp_path, summaries):
    put(tmp_path, *(f'dog/cifar10_dog_{i}.aedat' for i in (0, 99, 100, 999)))
    with pytest.raises(FileNotFoundError, match='no folder .*/airplane'):
        build('CIFAR10DVS', tmp_path)
    train = build('CIFAR10DVS', tmp_path, on_error='skip')
    assert '9 samples left out' in summaries[0]
    assert listed(train) == [('dog/cifar10_dog_100.aedat', 5),
                             ('dog/cifar10_dog_999.aedat', 5)]
    assert listed(build('CIFAR10DVS', tmp_path, split='test',
                        on_error='skip')) == [
        ('dog/cifar10_dog_0.aedat', 5), ('dog/cifar10_dog_99.aedat', 5)]


def test_cifar10dvs_can_lie_as_in_spikingjelly(tmp_path):
    theirs = pytest.importorskip('spikingjelly.datasets.cifar10_dvs')
    if not hasattr(theirs, '_load_origin_data'):
        pytest.skip('another version of SpikingJelly')
    words = np.random.randint(0, 1 << 15, 50)
    path = tmp_path / 'a.aedat'
    path.write_bytes(b'#!AER-DAT2.0\r\n' + b''.join(
        struct.pack('>II', word, 7 * i) for i, word in enumerate(words)))
    wanted = theirs._load_origin_data(path)
    from mmsnn.datasets.transforms import EventPolarity, OrientEvents
    results = dict(events=read_events(path), sensor_size=(128, 128))
    results = OrientEvents(transpose=True, flip_y=True)(results)
    results = EventPolarity('swap')(results)
    for key in 'txyp':
        assert (results['events'][key] == wanted[key]).all(), key


class TestHARDVS:

    def test_split_files(self, tmp_path):
        put(tmp_path, 'action_001/dvSave-1.npz', 'action_300/dvSave-2.npz')
        (tmp_path / 'val_label.txt').write_text(
            'action_300/dvSave-2 8 299\n\naction_001/dvSave-1.npz\n')
        dataset = build('HARDVS', tmp_path, split='val')
        assert listed(dataset) == [('action_300/dvSave-2.npz', 299),
                                   ('action_001/dvSave-1.npz', 0)]
        assert dataset[0]['sensor_size'] == (346, 260)
        assert len(dataset.CLASSES) == 300

    def test_faults(self, tmp_path, summaries):
        put(tmp_path, 'action_001/dvSave-1.npz')
        file = tmp_path / 'train_label.txt'
        with pytest.raises(FileNotFoundError, match='train_label.txt'):
            build('HARDVS', tmp_path)
        file.write_text('action_001/dvSave-1\naction_001/dvSave-2\n'
                        'action_301/dvSave-1\n')
        with pytest.raises(FileNotFoundError,
                           match='train_label.txt, line 2 names .*dvSave-2'):
            build('HARDVS', tmp_path)
        dataset = build('HARDVS', tmp_path, on_error='skip')
        assert len(dataset) == 1 and len(dataset.skipped) == 2
        assert '2 samples left out' in summaries[0]
        assert 'line 3' in dataset.skipped[1]


def aedat3(*times):
    events = b''.join(struct.pack('<Ii', 1 << 17 | 2 << 2 | 3, t)
                      for t in times)
    n = len(times)
    return (b'#!AER-DAT3.1\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n' +
            struct.pack('<hhiiiiii', 1, 1, 8, 4, 0, n, n, n) + events)


class TestGesture:

    @pytest.fixture
    def root(self, tmp_path):
        root = tmp_path / 'DvsGesture'
        put(root, 'user01_led.aedat', content=aedat3(*range(10, 100, 10)))
        put(root, 'user24_led.aedat', content=aedat3(5, 6))
        put(root, 'user01_led_labels.csv', content=b'class,startTime_usec,'
            b'endTime_usec\n1,10,30\n11,50,60\n1,60,95\n')
        put(root, 'user24_led_labels.csv', content=b'class,startTime_usec,'
            b'endTime_usec\n4,0,6\n')
        put(root, 'trials_to_train.txt', content=b'user01_led.aedat\n')
        put(root, 'trials_to_test.txt', content=b'user24_led.aedat\n\n')
        return root

    def test_windows_of_the_csv(self, root):
        dataset = build('DVSGesture', root,
                        pipeline=[dict(type='mmsnn.LoadEvents')])
        assert [(s['gt_label'], s['events']['t'].tolist()) for s in dataset
                ] == [(0, [10, 20]), (10, [50]), (0, [60, 70, 80, 90])]
        assert dataset[0]['sensor_size'] == (128, 128)

    def test_cut_once_and_continued(self, root, tmp_path):
        target = tmp_path / 'cut'
        assert cut_gestures(root, target) == 4
        first = target / 'train/01/user01_led_00.npy'
        for split in ('train', 'test'):
            kwargs = dict(split=split,
                          pipeline=[dict(type='mmsnn.LoadEvents')])
            whole, cut = (build('DVSGesture', path, **kwargs)
                          for path in (root, target))
            samples = sorted((s['gt_label'], s['events'].tolist())
                             for s in whole)
            assert samples == sorted((s['gt_label'], s['events'].tolist())
                                     for s in cut)
        assert cut_gestures(root, target) == 0
        before = first.read_bytes()
        first.unlink()
        assert cut_gestures(root, target) == 1
        assert first.read_bytes() == before
        assert not list(target.rglob('*.part*'))

    def test_a_gesture_without_events_is_counted(self, root, tmp_path,
                                                 summaries):
        labels = root / 'user01_led_labels.csv'
        labels.write_text('class,startTime_usec,endTime_usec\n'
                          '1,200,300\n2,10,30\n')
        # One of two, and the one of the test set.
        assert cut_gestures(root, tmp_path / 'cut', on_error='skip') == 2
        assert 'DVSGesture: 1 samples left out; the first: ' in summaries[0]
        assert 'no event of 200 to 300 us' in summaries[0]

    @pytest.mark.parametrize('line, words', [
        ('12,1,2', 'line 2: a class of 1 to 11 and a start before'),
        ('1,2,2', 'line 2: a class'), ('a,b,c', 'line 2: a class')])
    def test_wrong_lines(self, root, line, words):
        labels = root / 'user01_led_labels.csv'
        labels.write_text('class,startTime_usec,endTime_usec\n' + line)
        with pytest.raises(ValueError, match=words) as error:
            build('DVSGesture', root)
        assert str(labels) in str(error.value)

    def test_other_faults(self, root, tmp_path):
        labels = root / 'user01_led_labels.csv'
        labels.write_text('class,startTime_usec,endTime_usec\n1,200,300\n')
        with pytest.raises(EventFileError, match='no event of 200 to 300 us'):
            cut_gestures(root, tmp_path / 'cut')
        labels.write_text('class,start\n')
        with pytest.raises(ValueError, match='line 1: columns must be'):
            build('DVSGesture', root)
        labels.unlink()
        with pytest.raises(FileNotFoundError, match='user01_led.aedat has no'):
            build('DVSGesture', root)
        (root / 'user01_led.aedat').unlink()
        with pytest.raises(FileNotFoundError, match='train.txt, line 1 names'):
            build('DVSGesture', root)


BOX = np.dtype([('ts', '<u8'), ('x', '<f4'), ('y', '<f4'), ('w', '<f4'),
                ('h', '<f4'), ('class_id', 'u1'), ('class_confidence', '<f4'),
                ('track_id', '<u4')])


class TestLabelFiles:

    @pytest.fixture(params=['HARDVS', 'DVSGesture'])
    def labelled(self, request, tmp_path):
        """A set, its list of recordings, and how a line begins."""
        put(tmp_path, 'action_001/a.npz')
        file = {'HARDVS': 'train_label.txt',
                'DVSGesture': 'trials_to_train.txt'}[request.param]
        return request.param, tmp_path, tmp_path / file

    def test_no_text(self, labelled):
        name, root, file = labelled
        file.write_bytes(b'action_001/a 0\n\xff\xfe\x00')
        with pytest.raises(EventFileError, match='text in UTF-8, but byte 15'
                           ) as error:
            build(name, root)
        assert str(file) in str(error.value)

    def test_no_file(self, labelled):
        name, root, file = labelled
        file.mkdir()
        with pytest.raises(EventFileError, match=f'{file.name}: it is a fol'):
            build(name, root)
        file.rmdir()
        os.mkfifo(file)
        with pytest.raises(EventFileError, match=f'{file.name}: it is a pipe'):
            build(name, root)

    def test_lines_that_are_no_names(self, labelled):
        name, root, file = labelled
        for line in ('action_001/' + 'a' * 70_000, 'action_001/\x1b[2J'):
            file.write_text(line)
            with pytest.raises(FileNotFoundError, match='line 1 names') as e:
                build(name, root)
            assert str(e.value).isprintable()
            assert len(str(e.value)) < 300 + len(str(root))

    def test_a_mark_of_the_encoding(self, tmp_path):
        put(tmp_path, 'action_001/a.npz')
        (tmp_path / 'train_label.txt').write_bytes(
            b'\xef\xbb\xbfaction_001/a 0\r\n')
        assert listed(build('HARDVS', tmp_path)) == [('action_001/a.npz', 0)]

    def test_damaged_tables(self, tmp_path):
        put(tmp_path, 'a.aedat')
        (tmp_path / 'trials_to_train.txt').write_text('a.aedat')
        file = tmp_path / 'a_labels.csv'
        head = b'class,startTime_usec,endTime_usec\n'
        for content, words in (
                (head + b'\xff', 'text in UTF-8, but byte 34'),
                (head + b'1,' + b'2' * 200_000, 'field larger than'),
                (head + b'\x1b[2J,1,2', 'line 2: a class of 1 to 11'),
                (head + b'1,5,' + b'9' * 30, 'line 2: a class of 1 to 11'),
                (b'\x1b,' + b'a' * 9999, 'line 1: columns must be')):
            file.write_bytes(content)
            with pytest.raises(ValueError, match=words) as error:
                build('DVSGesture', tmp_path)
            text = str(error.value)
            assert str(file) in text and text.isprintable()
            assert len(text) < 300 + len(str(file))
            dataset = DATASETS.get('mmsnn.DVSGesture')(
                tmp_path, on_error='skip', lazy_init=True)
            with pytest.raises(FileNotFoundError, match='has no samples'):
                dataset.full_init()
            assert len(dataset.skipped) == 1


class TestGen1:

    @pytest.fixture
    def root(self, tmp_path):
        header = (b'% Version 2\n% Height 240\n% Width 304\n% end\n\x0c\x08')
        put(tmp_path, 'train/a_td.dat', content=header + b''.join(
            struct.pack('<II', t, 5 | 6 << 14 | 1 << 28)
            for t in range(500_000, 700_000, 10_000)))
        boxes = np.zeros(5, BOX)
        boxes['ts'] = 600_000, 600_000, 400_000, 650_000, 650_000
        boxes['x'] = 10, -20, 10, 290, 10
        boxes['y'] = 20, 30, 20, 100, 20
        boxes['w'] = 30, 60, 30, 30, 9
        boxes['h'] = 40, 60, 40, 50, 90
        boxes['class_id'] = 0, 1, 0, 1, 0
        np.save(tmp_path / 'train/a_bbox.npy', boxes)
        return tmp_path

    def test_boxes_as_coco(self, root):
        out, = convert_gen1(root)
        content = json.loads(out.read_text())
        assert [(i['file_name'], i['events_start'], i['events_stop'])
                for i in content['images']] == [
            ('train/a_td.dat', 550_000, 600_000),
            ('train/a_td.dat', 600_000, 650_000)]
        # Cut to 304x240; the early and the narrow one are left out.
        assert [(a['image_id'], a['category_id'], a['bbox'])
                for a in content['annotations']] == [
            (1, 1, [10, 20, 30, 40]), (1, 2, [0, 30, 40, 60]),
            (2, 2, [290, 100, 14, 50])]
        assert convert_gen1(root) == []  # it is there already

    def test_read_by_mmdet_s_dataset(self, root):
        pytest.importorskip('mmdet')
        convert_gen1(root)
        with DefaultScope.overwrite_default_scope('mmdet'):
            dataset = build(
                'EventCocoDataset', root,
                ann_file='annotations/instances_train.json',
                pipeline=[
                    dict(type='mmsnn.LoadEvents'),
                    dict(type='LoadAnnotations', with_bbox=True),
                    dict(type='mmsnn.EventHistogram', bins=5, by='time'),
                    dict(type='mmsnn.PackEventInputs', task='det')])
            assert len(dataset) == 2
            assert dataset.metainfo['classes'] == ('car', 'pedestrian')
            assert len(dataset.metainfo['palette']) == 2
            sample = dataset[0]
        assert sample['inputs'].shape == (5, 2, 240, 304)
        # 550,000 to 590,000 us: 5 events, one a bin.
        assert sample['inputs'][:, 1, 6, 5].tolist() == [1] * 5
        assert sample['inputs'].sum() == 5
        instances = sample['data_samples'].gt_instances
        assert instances.bboxes.tensor.tolist() == [[10, 20, 40, 60],
                                                    [0, 30, 40, 90]]
        assert instances.labels.tolist() == [0, 1]
        assert sample['data_samples'].ori_shape == (240, 304)

    def test_an_image_without_a_window(self, root):
        pytest.importorskip('mmdet')
        out, = convert_gen1(root)
        for changed, words in (
                (dict(events_stop=None), '550000, None, 304, 240'),
                (dict(events_start='early'), "'early', 600000, 304, 240"),
                (dict(events_start=600_000), '600000, 600000, 304, 240'),
                (dict(events_stop=float('nan')), '550000, nan, 304, 240'),
                (dict(width=304.5), '550000, 600000, 304.5, 240')):
            content = json.loads(out.read_text())
            content['images'][0].update(changed)
            file = root / 'annotations/wrong.json'
            file.write_text(json.dumps(content))
            with pytest.raises(ValueError, match=(
                    'wrong.json: image 1 must have .*, but has ' + words)):
                build('EventCocoDataset', root, ann_file=str(file))

    def test_faults(self, root):
        file = root / 'train/a_bbox.npy'
        boxes = np.load(file)
        boxes['class_id'][3] = 2
        np.save(file, boxes)
        with pytest.raises(ValueError, match='class_id 2 of box 3; valid'):
            convert_gen1(root)
        signed = boxes.astype([
            (name, 'f4' if name in 'xywh' else 'i8') for name in BOX.names])
        signed['class_id'][3] = -1
        np.save(file, signed)
        with pytest.raises(ValueError, match='class_id -1 of box 3; valid'):
            read_boxes(file)
        signed['y'][2] = np.nan
        np.save(file, signed)
        with pytest.raises(ValueError, match='y nan of box 2 is no number'):
            read_boxes(file)
        timed = boxes.astype([(name, 'f8') for name in BOX.names])
        for time, words in (1e30, 'ts is 1e.30'), (0.5, 'ts is 0.5'):
            timed['ts'][1], timed['class_id'][3] = time, 1
            np.save(file, timed)
            with pytest.raises(ValueError, match=f'{words} at box 1; whole'):
                read_boxes(file)
        np.save(file, signed.astype([(name, 'U4') for name in BOX.names]))
        with pytest.raises(ValueError, match='ts must be a real number'):
            read_boxes(file)
        np.save(file, boxes[['ts', 'x']])
        with pytest.raises(ValueError, match='no field y, w, h, class_id'):
            read_boxes(file)
        file.write_bytes(b'junk')
        with pytest.raises(ValueError, match='a_bbox.npy: it is no whole'):
            read_boxes(file)
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(ValueError, match='a_bbox.npy: it is a pipe'):
            read_boxes(file)
        (root / 'train/a_td.dat').unlink()
        with pytest.raises(FileNotFoundError, match='a_bbox.npy has boxes of'):
            convert_gen1(root)
        file.unlink()
        with pytest.raises(FileNotFoundError, match=r'has no \*_bbox.npy'):
            convert_gen1(root)
        with pytest.raises(FileNotFoundError, match='none of the folders'):
            convert_gen1(root / 'train')


@pytest.mark.skipif(not (SHARED / 'nmnist_1100.tar.gz').exists(),
                    reason='the shared N-MNIST is not there')
def test_real_nmnist_in_a_data_loader(tmp_path):
    subprocess.run(['tar', 'xzf', str(SHARED / 'nmnist_1100.tar.gz'), '-C',
                    str(tmp_path), '--wildcards', '*/test', '*/5/00001.bin'],
                   check=True)
    root, = (path.parent for path in tmp_path.rglob('test'))
    events = read_events(root / 'train/5/00001.bin', size=(34, 34))
    assert len(events) == 4681
    assert (events['t'][0], events['t'][-1]) == (893, 305_924)
    loader = Runner.build_dataloader(
        dict(
            batch_size=10, num_workers=0,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='mmsnn.NMNIST', data_root=str(root), split='test',
                pipeline=[
                    dict(type='mmsnn.LoadEvents'),
                    dict(type='mmsnn.EventHistogram', bins=8, by='time'),
                    dict(type='mmsnn.PackEventInputs')])))
    batches = list(loader)
    assert len(batches) == 10
    labels = []
    for batch in batches:
        assert batch['inputs'].shape == (10, 8, 2, 34, 34)
        labels += [int(s.gt_label) for s in batch['data_samples']]
    assert sorted(set(labels)) == list(range(10))


def test_without_mmdet():
    code = (
        'import sys\n'
        'sys.modules["mmdet"] = None\n'
        'from mmengine.registry import DATASETS\n'
        'import mmsnn.datasets\n'
        'try:\n'
        '    DATASETS.build(dict(type="mmsnn.EventCocoDataset"))\n'
        'except ModuleNotFoundError as error:\n'
        '    print(error)')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True,
                          capture_output=True)
    assert 'mmdet' in done.stdout, done.stderr
