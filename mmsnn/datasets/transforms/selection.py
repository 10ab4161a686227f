"""Transforms that keep some events: by polarity, time, chance or pixel."""

from collections.abc import Sequence

import numpy as np

from mmsnn.registry import TRANSFORMS

from .base import EventTransform, check_choice, check_range, random_start


@TRANSFORMS.register_module()
class EventPolarity(EventTransform):
    """Exchange the polarities, or keep one.

    Frames of both polarities in one channel are made by
    :class:`EventHistogram`.

    Modified Keys:

    - events

    Args:
        mode (str): 'swap', 'positive' or 'negative'.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events([5, 9], [0, 1], [0, 0], [1, 0]))
        >>> EventPolarity('swap')(sample)['events']['p'].tolist()
        [0, 1]
    """

    def __init__(self, mode: str) -> None:
        check_choice('mode', mode, ('swap', 'positive', 'negative'))
        self.mode = mode

    def _change(self, results: dict) -> dict:
        """Change the polarities of a sample."""
        events = results['events']
        if self.mode == 'swap':
            events['p'] ^= 1
        else:
            results['events'] = events[events['p'] == (
                self.mode == 'positive')]
        return results


@TRANSFORMS.register_module()
class CropEventTime(EventTransform):
    """Take a window of time.

    Modified Keys:

    - events

    Args:
        duration (int): Length of the window, us. A shorter recording stays
            as it is.
        random (bool): At a random time; otherwise in the middle. Defaults to
            True.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events(range(4), *[[0] * 4] * 3))
        >>> CropEventTime(2, random=False)(sample)['events']['t']
        array([1, 2])
    """

    def __init__(self, duration: int, random: bool = True) -> None:
        if duration < 1:
            raise ValueError(f'duration must be at least 1 us, got {duration}')
        self.duration = duration
        self.random = random

    def _change(self, results: dict) -> dict:
        """Cut a window out of a sample."""
        events = results['events']
        t = events['t']
        room = int(t[-1] - t[0]) + 1 - self.duration if len(t) else 0
        if room > 0:
            start = t[0] + (
                random_start(room) if self.random else room // 2)
            begin, end = np.searchsorted(t, [start, start + self.duration])
            results['events'] = events[begin:end]
        return results


@TRANSFORMS.register_module()
class RandomEventDrop(EventTransform):
    """Drop events in one of three ways, which is chosen at random.

    'event' drops each event with probability r, 'time' the events of a window
    that is the fraction r of the sample's time, 'area' those in a box of r
    times the width and the height. r is uniform up to the way's greatest
    ratio. After Gu et al., "EventDrop: Data Augmentation for Event-based
    Learning", IJCAI 2021, where r takes nine steps and the sample may also
    stay as it is.

    Modified Keys:

    - events

    Args:
        prob (float): Probability that anything is dropped. Defaults to 0.75.
        methods (Sequence[str]): The ways to choose from. Defaults to all.
        max_ratio (dict, optional): Greatest ratios, over 0.9 for 'event' and
            'time' and 0.5 for 'area'.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events(range(999), *[[0] * 999] * 3))
        >>> drop = RandomEventDrop(prob=1., methods=['time'])
        >>> len(drop(sample)['events']) < 999
        True
    """

    METHODS = dict(event=0.9, time=0.9, area=0.5)

    def __init__(self,
                 prob: float = 0.75,
                 methods: Sequence[str] = ('event', 'time', 'area'),
                 max_ratio: dict | None = None) -> None:
        check_range('prob', prob, 0, 1)
        for method in (*methods, *(max_ratio or {})):
            check_choice('methods', method, tuple(self.METHODS))
        self.prob = prob
        self.methods = tuple(methods)
        self.max_ratio = {**self.METHODS, **(max_ratio or {})}
        for method, ratio in self.max_ratio.items():
            check_range(f'max_ratio[{method!r}]', ratio, 0, 1)

    def _change(self, results: dict) -> dict:
        """Drop events of a sample with the probability ``prob``."""
        events = results['events']
        if not len(events) or np.random.rand() >= self.prob:
            return results
        method = self.methods[np.random.randint(len(self.methods))]
        ratio = np.random.uniform(0, self.max_ratio[method])
        if method == 'event':
            dropped = np.random.rand(len(events)) < ratio
        elif method == 'time':
            t = events['t']
            length = (t[-1] - t[0]) * ratio
            start = t[0] + np.random.uniform(0, t[-1] - t[0] - length)
            dropped = (t >= start) & (t < start + length)
        else:
            dropped = np.ones(len(events), bool)
            for key, side in zip('xy', results['sensor_size']):
                part = int(side * ratio)
                start = random_start(side - part)
                dropped &= (events[key] >= start) & (
                    events[key] < start + part)
        results['events'] = events[~dropped]
        return results


@TRANSFORMS.register_module()
class FilterHotPixels(EventTransform):
    """Drop all events of pixels that fire far more often than others.

    Modified Keys:

    - events

    Args:
        n_sigma (float, optional): A pixel is hot if it has more events than
            the mean plus this many standard deviations, over the pixels that
            have any. Defaults to 5.
        max_rate (float, optional): A pixel is hot if it has more events a
            second than this. Defaults to None.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> events = make_events(range(11), [0] * 10 + [1], [0] * 11, [1] * 11)
        >>> sample = dict(events=events, sensor_size=(2, 1))
        >>> FilterHotPixels(n_sigma=0.5)(sample)['events'].tolist()
        [(10, 1, 0, 1)]
    """

    def __init__(self,
                 n_sigma: float | None = 5.,
                 max_rate: float | None = None) -> None:
        if n_sigma is None and max_rate is None:
            raise ValueError('FilterHotPixels needs n_sigma or max_rate')
        for name, value in (('n_sigma', n_sigma), ('max_rate', max_rate)):
            if value is not None:
                check_range(name, value, 0, np.inf)
        self.n_sigma = n_sigma
        self.max_rate = max_rate

    def _change(self, results: dict) -> dict:
        """Drop the events of hot pixels."""
        events = results['events']
        if not len(events):
            return results
        width, height = results['sensor_size']
        pixel = events['y'].astype('i8') * width + events['x']
        counts = np.bincount(pixel, minlength=width * height)
        most = np.inf
        if self.n_sigma is not None:
            active = counts[counts > 0]
            most = active.mean() + self.n_sigma * active.std()
        if self.max_rate is not None:
            seconds = max(int(events['t'][-1] - events['t'][0]), 1) / 1e6
            most = min(most, self.max_rate * seconds)
        results['events'] = events[counts[pixel] <= most]
        return results
