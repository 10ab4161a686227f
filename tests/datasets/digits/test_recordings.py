"""Digit events: the simulated camera, the files, the data sets."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

from mmsnn.datasets import digit_events, prepare_digit_events, read_events
from mmsnn.datasets.digits.generated_folder import FolderCacheError
from mmsnn.datasets.digits.render import DigitPool, SceneSpec
from mmsnn.datasets.digits.saccades import SaccadeSpec, crossings, record
from mmsnn.datasets.events import make_events
from mmsnn.datasets.events.formats.atis import write_atis

ROOT = Path(__file__).resolve().parents[3]
#: Few places of the camera, since there are 1,797 single digits.
SMALL = dict(train=3, val=2, size=48, digit_height=(20, 30), duration=5000,
             amplitude=.8, noise_rate=0)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return prepare_digit_events(
        tmp_path_factory.mktemp('digits') / 'events', **SMALL)


class TestCamera:

    def test_events_of_one_step_worked_out_by_hand(self):
        before = np.array([[0., 1., 5., 0.]])
        now = np.array([[1., -1., 5., .9]])
        reference = np.array([[0., .5, 5., 0.]])
        threshold = np.array([[.4, 1., .1, 1.]])
        t, pixel, p, after = crossings(before, now, reference, threshold,
                                       1000., 2000.)
        # Pixel 0 rises through 0.4 and 0.8; pixel 1 falls through -0.5,
        # three quarters on its way; the others change too little.
        assert pixel.tolist() == [0, 0, 1]
        assert t == pytest.approx([1400., 1800., 1750.])
        assert p.tolist() == [1, 1, 0]
        assert after.ravel() == pytest.approx([.8, -.5, 5., 0.])

    def test_an_edge_that_moves(self):
        # Bright on the right; the camera goes right, so pixels brighten.
        image = np.zeros((9, 9, 3), np.uint8)
        image[:, 5:] = 200
        spec = SaccadeSpec(amplitude=2., noise_rate=0, mismatch=0,
                           threshold=0.2)
        events = record(image, spec, np.random.default_rng(0))
        first = events[events['t'] < spec.duration]
        assert (first['p'] == 1).all()
        # One pixel right, and a little by the blur.
        assert set(first['x']) <= {2, 3, 4, 5, 6} and 4 in first['x']
        # Back at the start, brighter and darker events make up for each
        # other, but for what is less than a threshold.
        sums = np.zeros((9, 9))
        np.add.at(sums, (events['y'], events['x']), 2 * events['p'] - 1.)
        assert np.abs(sums).max() <= 1
        assert (np.diff(events['t']) >= 0).all()
        assert events['t'][-1] < spec.total == 300_000

    def test_path(self):
        times, places = SaccadeSpec(amplitude=3., duration=2000).path()
        steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        assert steps.max() <= 0.25
        assert times[0] == 0 and times[-1] == 6000
        at = dict(zip(times.round().astype(int).tolist(), places.tolist()))
        assert at[2000] == [1.5, 3.] and at[4000] == [3., 0.]
        assert at[0] == at[6000] == [0., 0.]

    def test_noise_alone(self):
        spec = SaccadeSpec(amplitude=0, noise_rate=100.)
        image = np.full((20, 30, 3), 128, np.uint8)
        events = record(image, spec, np.random.default_rng(0))
        # 600 pixels, 0.3 s, 100 a second: 18,000, by Poisson.
        assert abs(len(events) - 18_000) < 5 * 18_000**0.5
        assert events['x'].max() == 29 and events['y'].max() == 19

    @pytest.mark.parametrize('key, value', [
        ('amplitude', -1), ('threshold', 0), ('duration', 1),
        ('mismatch', 'no'), ('noise_rate', True)])
    def test_values_out_of_range(self, key, value):
        with pytest.raises(ValueError, match=f'{key} of the saccades must'):
            SaccadeSpec(**{key: value})


class TestFiles:

    def test_five_bytes_an_event(self, tmp_path):
        events = make_events([0, 70_000, 8_388_607], [0, 255, 3],
                             [239, 0, 4], [1, 0, 1])
        write_atis(tmp_path / 'a.bin', events)
        assert (tmp_path / 'a.bin').stat().st_size == 15
        assert read_events(tmp_path / 'a.bin').tolist() == events.tolist()

    @pytest.mark.parametrize('t, x, y', [
        (-1, 0, 0), (1 << 23, 0, 0), (0, 256, 0), (0, 0, 240)])
    def test_what_does_not_fit(self, tmp_path, t, x, y):
        with pytest.raises(ValueError, match=f'a.bin: event 1 at {t} us'):
            write_atis(tmp_path / 'a.bin',
                       make_events([0, t], [0, x], [0, y], [0, 0]))
        assert not (tmp_path / 'a.bin').exists()

    def test_a_recording_is_that_of_its_scene(self, root):
        events = read_events(root / 'det/val/000001.bin', size=(48, 48))
        spec = SceneSpec(size=48, digit_height=(20, 30))
        scene = DigitPool(0).render(spec, 'val', 1)
        content = json.loads(
            (root / 'det/annotations/instances_val.json').read_text())
        image = content['images'][1]
        assert image['file_name'] == 'val/000001.bin'
        assert (image['events_start'], image['events_stop']) == (0, 15_000)
        boxes = [a['bbox'] for a in content['annotations']
                 if a['image_id'] == 1]
        assert len(boxes) == len(scene.labels)
        # There is more to see at the digits than elsewhere.
        inside = np.zeros((48, 48), bool)
        for x, y, w, h in boxes:
            inside[y:y + h, x:x + w] = True
        hit = inside[events['y'], events['x']].mean()
        assert hit > 1.5 * inside.mean()

    def test_other_parameters_do_not_mix(self, root):
        with pytest.raises(FolderCacheError, match='seed is 0 there and 1'):
            prepare_digit_events(root, **SMALL, seed=1)
        with pytest.raises(FolderCacheError, match='digit_events.py'):
            prepare_digit_events(root, **{**SMALL, 'noise_rate': 2.})
        assert prepare_digit_events(root, **SMALL) == root

    def test_a_recording_depends_on_its_seed_alone(self):
        image = np.random.randint(0, 256, (8, 8, 3), np.uint8)
        runs = [record(image, SaccadeSpec(), np.random.default_rng(seed))
                for seed in (1, 1, 2)]
        assert runs[0].tolist() == runs[1].tolist() != runs[2].tolist()

    @pytest.mark.parametrize('parameters, words', [
        (dict(colour=1), 'colour is no parameter of the digit events; valid'),
        (dict(size=241), 'size of the digit events must be at most 240'),
        (dict(threshold=0), 'threshold of the saccades')])
    def test_parameters(self, tmp_path, parameters, words):
        with pytest.raises(ValueError, match=words):
            prepare_digit_events(tmp_path / 'none', **parameters)
        assert not (tmp_path / 'none').exists()


class TestDatasets:

    def test_classification(self, root):
        dataset = DATASETS.build(dict(
            type='mmsnn.DigitEvents', root=str(root), events=SMALL,
            pipeline=[dict(type='mmsnn.LoadEvents'),
                      dict(type='mmsnn.EventHistogram', bins=2),
                      dict(type='mmsnn.PackEventInputs')]))
        assert len(dataset) == 1438
        assert dataset.metainfo['classes'] == tuple('0123456789')
        sample = dataset[700]
        assert sample['inputs'].shape == (2, 2, 32, 32)
        info = dataset.get_data_info(700)
        label = int(sample['data_samples'].gt_label)
        assert Path(info['events_path']).parent.name == str(label)
        other = digit_events(str(root), 'cls', 'val', SMALL)
        assert len(other) == 359 and other.test_mode
        names = {Path(d.get_data_info(i)['events_path']).name
                 for d in (dataset, other) for i in range(len(d))}
        assert len(names) == 1797  # no digit is in both

    def test_detection(self, root):
        pytest.importorskip('mmdet')
        with DefaultScope.overwrite_default_scope('mmdet'):
            dataset = DATASETS.build(dict(
                type='mmsnn.DigitEvents', root=str(root), task='det',
                split='val', events=SMALL, test_mode=False,
                pipeline=[
                    dict(type='mmsnn.LoadEvents'),
                    dict(type='LoadAnnotations', with_bbox=True),
                    dict(type='mmsnn.EventHistogram', bins=3, by='time'),
                    dict(type='mmsnn.PackEventInputs', task='det')]))
            sample = dataset[1]
        assert sample['inputs'].shape == (3, 2, 48, 48)
        events = read_events(root / 'det/val/000001.bin')
        assert sample['inputs'].sum() == len(events)
        assert len(sample['data_samples'].gt_instances) > 0
        assert dataset.metainfo['classes'] == tuple('0123456789')

    def test_unknown_keys(self, tmp_path):
        with pytest.raises(ValueError, match='task of DigitEvents .* cls, d'):
            digit_events(str(tmp_path), task='seg')
        with pytest.raises(ValueError, match='split of DigitEvents must'):
            digit_events(str(tmp_path), split='test')


def test_tool(tmp_path):
    tool = ROOT / 'tools/dataset_converters/digit_events.py'
    command = [sys.executable, str(tool), str(tmp_path / 'events'), '--train',
               '1', '--val', '1', '--duration', '1000', '--digit-height',
               '20', '30', '--noise-rate', '0', '--amplitude', '0.2']
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / 'events/manifest.json').read_text())
    assert manifest['parameters']['duration'] == 1000
    assert manifest['parameters']['digit_height'] == [20, 30]
    assert manifest['files'] == 1797 + 2 + 2


@pytest.mark.parametrize('task, framework', [
    ('cls', 'mmpretrain'), ('det', 'mmdet')])
def test_standard_keys_of_data_sets(root, tmp_path, task, framework):
    pytest.importorskip(framework)
    given = dict(
        data_root=str(root), indices=2, test_mode=True, serialize_data=False,
        max_refetch=7, metainfo=dict(note='mine'),
        pipeline=[dict(type='mmsnn.LoadEvents')])
    with DefaultScope.overwrite_default_scope(framework):
        dataset = DATASETS.build(
            dict(type='mmsnn.DigitEvents', root=str(tmp_path / 'none'),
                 task=task, events=SMALL, **given))
    assert not (tmp_path / 'none').exists()
    assert dataset.data_root == f'{root}/{task}' and len(dataset) == 2
    assert dataset.test_mode and not dataset.serialize_data
    assert dataset.max_refetch == 7 and dataset.metainfo['note'] == 'mine'
    assert dataset.metainfo['classes'] == tuple('0123456789')
    assert len(dataset.pipeline.transforms) == 1


def test_a_given_sensor_size_is_taken(root):
    dataset = digit_events(str(root), events=SMALL, sensor_size=(64, 64))
    assert dataset.get_data_info(0)['sensor_size'] == (64, 64)
