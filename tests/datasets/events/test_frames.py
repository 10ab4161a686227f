"""Bins and frames: by hand, and against SpikingJelly."""

import numpy as np
import pytest

from mmsnn.datasets.events import (
    histogram,
    make_events,
    split,
    time_surface,
    voxel_grid,
)

SIZE = (20, 16)


def at(*times):
    return make_events(times, *[[0] * len(times)] * 3)


@pytest.mark.parametrize('times, kwargs, bounds, edges', [
    # 7 events: 2, 2, and what is left.
    (range(7), dict(bins=3), [0, 2, 4, 7], [0, 2, 4, 7]),
    # 10 us from 5 to 15 in 3 us steps; the last lasts until after 15.
    ((5, 7, 8, 13, 15), dict(bins=3, by='time'), [0, 2, 3, 5],
     [5, 8, 11, 16]),
    # All at once: everything in the last bin.
    ((4, 4, 4), dict(bins=2, by='time'), [0, 0, 3], [4, 4, 5]),
    # Fewer events than bins.
    ((1, 2), dict(bins=3), [0, 0, 0, 2], [1, 1, 1, 3]),
    # Bins of 2 events: one event is in no bin, or in one of its own.
    (range(5), dict(bins=2, per_bin=2), [0, 2, 4], [0, 2, 4]),
    (range(5), dict(bins=None, per_bin=2), [0, 2, 4, 5], [0, 2, 4, 5]),
    (range(3), dict(bins=3, per_bin=2), [0, 2, 3, 3], [0, 2, 3, 3]),
    # Bins of 4 us.
    ((0, 3, 4, 9), dict(bins=2, by='time', per_bin=4), [0, 2, 3], [0, 4, 8]),
    ((0, 3, 4, 9), dict(bins=None, by='time', per_bin=4), [0, 2, 3, 4],
     [0, 4, 8, 12]),
    ((0, 3), dict(bins=3, by='time', per_bin=4), [0, 2, 2, 2], [0, 4, 8, 12]),
    ((), dict(bins=2), [0, 0, 0], [0, 0, 0]),
    ((), dict(bins=2, by='time'), [0, 0, 0], [0, 0, 0]),
    ((), dict(bins=None, by='time', per_bin=3), [0, 0], [0, 3]),
])
def test_split(times, kwargs, bounds, edges):
    bins = split(at(*times), **kwargs)
    assert bins.bounds.tolist() == bounds
    assert bins.edges.tolist() == edges
    assert len(bins) == len(bounds) - 1


@pytest.mark.parametrize('kwargs, words', [
    (dict(bins=0), 'bins must be at least 1, got 0'),
    (dict(bins=1, by='size'), "by must be one of count, time, got 'size'"),
    (dict(bins=1, per_bin=0), 'per_bin must be at least 1'),
    (dict(bins=None), 'bins may only be None with per_bin'),
])
def test_wrong_bins(kwargs, words):
    with pytest.raises(ValueError, match=words):
        split(at(1), **kwargs)


def test_histogram_by_hand(path_of):
    events = make_events([0, 1, 2, 3, 4], [0, 0, 1, 2, 2], [0, 0, 1, 0, 0],
                         [1, 1, 0, 0, 1])
    frames = histogram(events, split(events, 2), (3, 2))
    assert frames.dtype == np.float32
    assert frames.tolist() == [
        [[[0, 0, 0], [0, 0, 0]], [[2, 0, 0], [0, 0, 0]]],
        [[[0, 0, 1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0]]],
    ]


@pytest.mark.parametrize('by, theirs', [('count', 'number'),
                                        ('time', 'time')])
@pytest.mark.parametrize('bins', [1, 4, 7])
def test_histogram_as_spikingjelly(by, theirs, bins, random_events, path_of):
    utils = pytest.importorskip('spikingjelly.datasets.utils')
    columns = {key: random_events[key].copy() for key in 'txyp'}
    wanted = utils.integrate_events_by_fixed_frames_number(
        columns, theirs, bins, SIZE[1], SIZE[0])
    frames = histogram(random_events, split(random_events, bins, by), SIZE)
    assert (frames == wanted).all()
    assert frames.sum() == len(random_events)


def test_histogram_by_duration_as_spikingjelly(random_events, path_of):
    utils = pytest.importorskip('spikingjelly.datasets.utils')
    columns = {key: random_events[key].copy() for key in 'txyp'}
    wanted = utils.integrate_events_by_fixed_duration(
        columns, 300, SIZE[1], SIZE[0])
    bins = split(random_events, None, 'time', per_bin=300)
    assert (histogram(random_events, bins, SIZE) == wanted).all()


def test_histogram_of_any_memory(random_events, path_of):
    # Neither a slice with steps nor packed fields are what the kernel takes.
    packed = random_events.astype([(key, random_events.dtype[key])
                                   for key in 'txyp'])
    for events in (random_events[::2], packed):
        frames = histogram(events, split(events, 3), SIZE)
        again = events.copy().astype(random_events.dtype)
        assert (frames == histogram(again, split(again, 3), SIZE)).all()


def test_some_events_are_in_no_bin(random_events, path_of):
    bins = split(random_events, 3, per_bin=100)
    assert histogram(random_events, bins, SIZE).sum((1, 2, 3)).tolist() == [
        100, 100, 100
    ]


@pytest.mark.parametrize('make', [histogram, voxel_grid, time_surface])
def test_events_outside(make, path_of):
    for x, y in ((20, 0), (0, 16)):
        events = make_events([1, 2], [0, x], [0, y], [0, 0])
        with pytest.raises(
                ValueError, match=f'event 1 at x {x}, y {y} .* 20x16'):
            make(events, split(events, 1), SIZE)


def test_bounds_beyond_the_events(random_events, path_of):
    if path_of == 'plain':
        pytest.skip('only the kernel could read beyond')
    with pytest.raises(ValueError, match='bins of 9 events'):
        histogram(random_events[:9], split(random_events, 2), SIZE)


def test_voxel_grid_by_hand():
    # t' of 0, 1/2, 7/4 and 2 for T = 3.
    events = make_events([10, 15, 27, 30], [0, 0, 1, 1], [0] * 4,
                         [1, 0, 1, 1])
    grid = voxel_grid(events, split(events, 3, 'time'), (2, 1))
    t = 2 * 17 / 20
    assert grid.shape == (3, 1, 1, 2)
    assert np.allclose(grid[:, 0, 0],
                       [[.5, 0], [-.5, 2 - t], [0, t - 1 + 1]])
    both = voxel_grid(events, split(events, 3, 'time'), (2, 1), True)
    assert np.allclose(both[:, 0, 0], [[.5, 0], [.5, 0], [0, 0]])
    assert np.allclose(both[:, 1, 0], [[1, 0], [0, 2 - t], [0, t]])
    empty = events[:0]
    assert not voxel_grid(empty, split(empty, 3), (2, 1)).any()


def test_time_surface_by_hand():
    events = make_events([0, 5, 10, 14], [0, 1, 0, 1], [0] * 4, [1, 1, 1, 0])
    bins = split(events, 2, 'time', per_bin=10)
    surface = time_surface(events, bins, (2, 1), tau=10.)
    assert np.allclose(surface[0], [[[0, 0]], np.exp([[-1, -.5]])])
    # The pixel that is not touched again fades.
    assert np.allclose(surface[1], [np.exp([[-np.inf, -.6]]),
                                    np.exp([[-1, -1.5]])])
    with pytest.raises(ValueError, match='tau must be above 0'):
        time_surface(events, bins, (2, 1), 0.)
