"""Transforms of events: by hand, seeded, and in upstream's pipelines."""

import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS, DefaultScope

from mmsnn.datasets import transforms as module
from mmsnn.datasets.events import EventFileError, make_events

SIZE = (20, 16)


def sample(*events, size=SIZE, **kwargs):
    """A sample; events are (t, x, y, p)."""
    columns = list(zip(*events)) or [[]] * 4
    return dict(events=make_events(*columns), sensor_size=size,
                img_shape=size[::-1], ori_shape=size[::-1],
                scale_factor=(1., 1.), **kwargs)


def many(n=3000, size=SIZE):
    rng = np.random.default_rng(0)
    return sample(*zip(
        np.sort(rng.integers(0, 10_000, n)), rng.integers(0, size[0], n),
        rng.integers(0, size[1], n), rng.integers(0, 2, n)), size=size)


def build(name, **kwargs):
    return TRANSFORMS.build(dict(type=f'mmsnn.{name}', **kwargs))


def rows(results):
    return results['events'].tolist()


RANDOM = [
    ('RandomEventFlip', {}),
    ('CropEvents', dict(size=(9, 7))),
    ('CropEventTime', dict(duration=2000)),
    ('RandomEventDrop', dict(prob=1.)),
    ('NeuromorphicAugment', dict(num_ops=4)),
]


class TestRandomOnes:

    @pytest.mark.parametrize('name, kwargs', RANDOM)
    def test_numpy_s_seed_is_theirs(self, name, kwargs):
        transform = build(name, **kwargs)
        results = []
        for seed in (1, 1, 2, 3, 4, 5):
            np.random.seed(seed)
            results.append(rows(transform(many())))
        assert results[0] == results[1]
        assert any(result != results[0] for result in results)

    @pytest.mark.parametrize('name, kwargs', RANDOM)
    def test_events_stay_ordered_and_inside(self, name, kwargs):
        transform = build(name, **kwargs)
        for seed in range(20):
            np.random.seed(seed)
            results = transform(many())
            events, (width, height) = results['events'], results['sensor_size']
            assert (np.diff(events['t']) >= 0).all()
            assert (events['x'] < width).all() and (events['y'] < height).all()
            assert results['img_shape'] == (height, width)

    @pytest.mark.parametrize('name, kwargs', RANDOM)
    def test_no_events_and_the_given_array(self, name, kwargs):
        transform = build(name, **kwargs)
        assert rows(transform(sample())) == []
        before = many()
        events = before['events']
        kept = events.copy()
        transform(before)
        assert (events == kept).all()


def test_orientation():
    results = build('OrientEvents', transpose=True, flip_y=True)(
        sample((0, 1, 2, 1), size=(20, 16)))
    # Column 1 of 20 becomes the row 1 of 20, counted from below.
    assert rows(results) == [(0, 2, 18, 1)]
    assert results['sensor_size'] == (16, 20)
    assert results['img_shape'] == results['ori_shape'] == (20, 16)
    assert rows(build('OrientEvents', flip_x=True)(sample(
        (0, 1, 2, 1)))) == [(0, 18, 2, 1)]


def test_flip():
    flip = build('RandomEventFlip', prob=1., direction='vertical')
    results = flip(sample((0, 1, 2, 1)))
    assert rows(results) == [(0, 1, 13, 1)]
    assert results['flip'] and results['flip_direction'] == 'vertical'
    assert not build('RandomEventFlip', prob=0.)(sample())['flip']


def test_crop():
    results = build('CropEvents', size=(4, 30), random=False)(
        sample((0, 7, 0, 1), (1, 8, 5, 0), (2, 11, 15, 1), (3, 12, 0, 1)))
    # Columns 8 to 11 of 20, all rows.
    assert rows(results) == [(1, 0, 5, 0), (2, 3, 15, 1)]
    assert results['sensor_size'] == (4, 16)


def test_downsampling():
    results = build('DownsampleEvents', factor=3)(
        sample((0, 2, 3, 1), (1, 19, 15, 1)))
    assert rows(results) == [(0, 0, 1, 1), (1, 6, 5, 1)]
    assert results['sensor_size'] == (7, 6)
    assert results['scale_factor'] == (1 / 3, 1 / 3)
    results = build('DownsampleEvents', size=(5, 8))(
        sample((0, 3, 3, 1), (1, 19, 15, 1)))
    assert rows(results) == [(0, 0, 1, 1), (1, 4, 7, 1)]
    with pytest.raises(ValueError, match=r'\(21, 8\) .* larger .* \(20, 16\)'):
        build('DownsampleEvents', size=(21, 8))(sample())


@pytest.mark.parametrize('name, options, events, message', [
    ('DownsampleEvents', dict(size=(21, 8)), [], r'size \(21, 8\)'),
    ('EventHistogram', dict(bins=2), [(0, 25, 3, 1)], 'x 25, y 3 is outside'),
])
def test_faults_of_samples_name_their_file(name, options, events, message):
    results = sample(*events, events_path='some/one.bin')
    with pytest.raises(ValueError, match='^some/one.bin: .*' + message):
        build(name, **options)(results)


def test_polarity():
    both = (0, 1, 1, 1), (1, 2, 2, 0)
    for mode, wanted in (('swap', [(0, 1, 1, 0), (1, 2, 2, 1)]),
                         ('positive', [both[0]]), ('negative', [both[1]])):
        assert rows(build('EventPolarity', mode=mode)(sample(*both))) == wanted


def test_time_crop():
    crop = build('CropEventTime', duration=4, random=False)
    events = [(t, 0, 0, 0) for t in (10, 13, 14, 17, 19)]
    # 10 us; the 4 in the middle are 13 to 16.
    assert rows(crop(sample(*events))) == events[1:3]
    assert rows(crop(sample(*events[:2]))) == events[:2]


@pytest.mark.parametrize('method', ['event', 'time', 'area'])
def test_drops(method):
    drop = build('RandomEventDrop', prob=1., methods=(method, ))
    for seed in range(10):
        np.random.seed(seed)
        before = many()['events']
        after = drop(many())['events']
        gone = set(before.tolist()) - set(after.tolist())
        assert set(after.tolist()) <= set(before.tolist())
        if not gone:
            continue
        gone = make_events(*zip(*gone))
        if method == 'time':
            low, high = gone['t'].min(), gone['t'].max()
            assert not ((after['t'] > low) & (after['t'] < high)).any()
        elif method == 'area':
            inside = np.ones(len(after), bool)
            for key in 'xy':
                inside &= after[key] >= gone[key].min()
                inside &= after[key] <= gone[key].max()
            assert not inside.any()
    assert rows(build('RandomEventDrop', prob=0.)(many())) == rows(many())


def test_hot_pixels():
    # 16 pixels with one event, one with 40: mean 3.3, deviation 9.2.
    events = [(t, t, 0, 1) for t in range(16)] + [(99, 3, 5, 0)] * 40
    results = build('FilterHotPixels', n_sigma=3.)(sample(*events))
    assert rows(results) == events[:16]
    assert len(rows(build('FilterHotPixels')(sample(*events)))) == 56
    # 40 events in 99 us are 404,040 a second, one is 10,101.
    for rate, left in ((1e6, 56), (2e4, 16), (1e4, 0)):
        results = build('FilterHotPixels', n_sigma=None, max_rate=rate)(
            sample(*events))
        assert len(rows(results)) == left


class TestNeuromorphicAugment:

    def one(self, name, events, magnitude=1.):
        return build('NeuromorphicAugment', operations=(name, ),
                     flip_prob=0., magnitude=magnitude)(sample(*events))

    def test_rolling_keeps_all(self):
        np.random.seed(0)
        results = self.one('roll', [(0, x, y, 1) for x in range(20)
                                    for y in range(16)], 4.)
        assert len({row[1:3] for row in rows(results)}) == 320

    def test_a_quarter_turn(self, monkeypatch):
        monkeypatch.setattr(np.random, 'uniform', lambda low, high: high)
        # About the middle, (9.5, 7.5), by 60 degrees: (12.5, 7.5) goes to
        # (11, 10.1), (9.5, 7.5) stays.
        results = build(
            'NeuromorphicAugment', operations=('rotate', ), flip_prob=0.,
            magnitude=4.)(sample((0, 12, 7, 1), (1, 0, 0, 1), size=(20, 15)))
        # (2.5, 0) turns to (1.25, 2.165); the corner leaves the sensor.
        assert rows(results) == [(0, 11, 9, 1)]

    def test_shearing(self, monkeypatch):
        monkeypatch.setattr(np.random, 'uniform', lambda low, high: high)
        # 0.15 columns a row, from row 7.5 on: row 15 by 1.125, row 0 back.
        results = self.one('shear', [(0, 5, 15, 1), (1, 5, 0, 1),
                                     (2, 0, 0, 1)])
        assert rows(results) == [(0, 6, 15, 1), (1, 4, 0, 1)]

    def test_boxes_are_refused(self):
        with pytest.raises(ValueError, match='has no boxes'):
            build('NeuromorphicAugment')(sample(gt_bboxes=object()))


class TestFrames:

    def test_histogram_and_its_channels(self):
        events = [(0, 0, 0, 1), (1, 0, 0, 1), (2, 1, 0, 0), (3, 0, 0, 0)]
        for channels, wanted in (
            ('both', [[[[0, 0]], [[2, 0]]], [[[1, 1]], [[0, 0]]]]),
            ('sum', [[[[2, 0]]], [[[1, 1]]]]),
            ('difference', [[[[2, 0]]], [[[-1, -1]]]])):
            results = build('EventHistogram', bins=2, channels=channels)(
                sample(*events, size=(2, 1)))
            assert results['frames'].tolist() == wanted
            assert 'events' not in results
        frames = build('EventHistogram', bins=2, max_count=1.5)(
            sample(*events, size=(2, 1)))['frames']
        assert frames.max() == 1.5

    @pytest.mark.parametrize('name, shape', [
        ('EventHistogram', (4, 2, 16, 20)), ('EventVoxelGrid', (4, 1, 16, 20)),
        ('EventTimeSurface', (4, 2, 16, 20))])
    def test_shapes(self, name, shape):
        for results in (many(), sample()):
            frames = build(name, bins=4)(results)['frames']
            assert frames.shape == shape and frames.dtype == np.float32
            assert np.isfinite(frames).all()


@pytest.mark.parametrize('name, kwargs, words', [
    ('RandomEventFlip', dict(prob=2), 'prob must be within 0 and 1, got 2'),
    ('RandomEventFlip', dict(direction='up'), 'horizontal, vertical, got'),
    ('CropEvents', dict(size=(0, 3)), 'at least 1x1'),
    ('DownsampleEvents', {}, 'either size or factor'),
    ('DownsampleEvents', dict(factor=0), 'at least 1, got 0'),
    ('EventPolarity', dict(mode='none'), 'swap, positive, negative, got'),
    ('CropEventTime', dict(duration=0), 'duration must be at least 1 us'),
    ('RandomEventDrop', dict(methods=('row', )), 'event, time, area, got'),
    ('RandomEventDrop', dict(max_ratio=dict(time=2)), "'time'.* 0 and 1"),
    ('FilterHotPixels', dict(n_sigma=None), 'needs n_sigma or max_rate'),
    ('NeuromorphicAugment', dict(num_ops=5), 'num_ops must be within 0 and 4'),
    ('EventHistogram', dict(bins=0), 'bins must be at least 1'),
    ('EventHistogram', dict(bins=1, channels='all'), 'both, sum, difference'),
    ('EventTimeSurface', dict(bins=1, tau=0), 'tau must be above 0'),
    ('PackEventInputs', dict(task='seg'), "cls, det, got 'seg'"),
])
def test_wrong_options(name, kwargs, words):
    with pytest.raises(ValueError, match=words):
        build(name, **kwargs)


def test_every_transform_is_registered_and_tells_its_options():
    for name in module.__all__:
        if name not in ('EventFrames', ):
            assert TRANSFORMS.get(f'mmsnn.{name}') is getattr(module, name)
    assert repr(build('DownsampleEvents', factor=3)) == (
        'DownsampleEvents(size=None, factor=3)')
    assert 'bins=4' in repr(build('EventHistogram', bins=4))


class TestLoading:

    def test_window_size_and_keys(self, tmp_path):
        path = tmp_path / 'a.bin'
        path.write_bytes(bytes([3, 7, 128, 1, 0, 4, 8, 0, 1, 44]))
        results = build('LoadEvents')(
            dict(events_path=str(path), sensor_size=(34, 30),
                 events_start=300, events_stop=400))
        assert rows(results) == [(300, 4, 8, 0)]
        assert results['sensor_size'] == (34, 30)
        assert results['img_shape'] == results['ori_shape'] == (30, 34)
        results = build('LoadEvents', size=(40, 40))(dict(img_path=str(path)))
        assert len(rows(results)) == 2 and results['img_shape'] == (40, 40)
        with pytest.raises(ValueError, match='a.bin: the size of the sensor'):
            build('LoadEvents')(dict(img_path=str(path)))
        # A window may be empty, a recording may not.
        assert not len(build('LoadEvents')(
            dict(events_path=str(path), sensor_size=(34, 34),
                 events_start=0, events_stop=5))['events'])

    def test_faults(self, tmp_path):
        path = tmp_path / 'a.bin'
        path.write_bytes(b'')
        for name in ('a.bin', 'none.bin', 'a.txt'):
            results = dict(events_path=str(tmp_path / name),
                           sensor_size=(34, 34))
            with pytest.raises((EventFileError, FileNotFoundError),
                               match=name):
                build('LoadEvents')(dict(results))
            loader = build('LoadEvents', on_error='skip')
            assert loader(dict(results)) is None
            assert (loader.skipped, loader.samples) == (1, 1)


class TestPacking:

    def test_for_mmpretrain(self):
        pytest.importorskip('mmpretrain')
        results = many()
        results.update(events_path='a.bin', gt_label=3)
        results = build('EventHistogram', bins=4)(results)
        packed = build('PackEventInputs')(results)
        assert packed['inputs'].shape == (4, 2, 16, 20)
        assert packed['inputs'].dtype == torch.float32
        assert packed['inputs'].sum() == 3000
        assert packed['data_samples'].gt_label.tolist() == [3]
        assert packed['data_samples'].img_shape == (16, 20)
        assert packed['data_samples'].events_path == 'a.bin'

    def test_for_mmdet_with_boxes(self):
        pytest.importorskip('mmdet')
        with DefaultScope.overwrite_default_scope('mmdet'):
            results = many()
            results.update(img_id=7, img_path='a.dat', instances=[
                dict(bbox=[2, 2, 8, 6], bbox_label=1, ignore_flag=0),
                dict(bbox=[0, 0, 3, 3], bbox_label=0, ignore_flag=0)])
            for transform in (
                    dict(type='LoadAnnotations', with_bbox=True),
                    dict(type='mmsnn.RandomEventFlip', prob=1.),
                    dict(type='mmsnn.CropEvents', size=(16, 16),
                         random=False),
                    dict(type='mmsnn.DownsampleEvents', factor=2),
                    dict(type='mmsnn.EventHistogram', bins=4),
                    dict(type='mmsnn.PackEventInputs', task='det')):
                results = TRANSFORMS.build(transform)(results)
        # Mirrored in 20 columns: 12 to 18; less 2: 10 to 16; halved. The
        # second: 17 to 20; 15 to 18, cut to 16.
        data_sample = results['data_samples']
        boxes = data_sample.gt_instances.bboxes.tensor.tolist()
        assert boxes == [[5, 1, 8, 3], [7.5, 0, 8, 1.5]]
        assert data_sample.gt_instances.labels.tolist() == [1, 0]
        assert results['inputs'].shape == (4, 2, 8, 8)
        assert data_sample.img_shape == (8, 8)
        assert data_sample.scale_factor == (.5, .5)
        assert data_sample.flip_direction == 'horizontal'

    def test_a_crop_without_boxes(self):
        pytest.importorskip('mmdet')
        with DefaultScope.overwrite_default_scope('mmdet'):
            for allowed in (False, True):
                results = many()
                results['instances'] = [
                    dict(bbox=[0, 0, 2, 2], bbox_label=1, ignore_flag=0)]
                for transform in (
                        dict(type='LoadAnnotations', with_bbox=True),
                        dict(type='mmsnn.CropEvents', size=(4, 4),
                             random=False, allow_negative_crop=allowed)):
                    results = TRANSFORMS.build(transform)(results)
                if allowed:
                    assert len(results['gt_bboxes']) == 0
                else:
                    assert results is None
