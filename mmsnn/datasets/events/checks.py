"""Checks of events: their order, their place, and clocks that wrap."""

import numpy as np

from . import native
from .array import EVENT
from .faults import LARGEST, Faults

#: The largest sensor that there can be.
ANY_SIZE = (LARGEST, LARGEST)


def count_faults(events: np.ndarray, last: int,
                 size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Count events that are out of order, and those outside the sensor.

    Args:
        events (np.ndarray): Events, (N,).
        last (int): The latest time before them, us.
        size (tuple[int, int]): Width and height of the sensor.

    Returns:
        tuple[int, int, int, int]: Index of the first early one (-1: none)
        and their number, and the same for those outside.

    Example:
        >>> from mmsnn.datasets.events.array import make_events
        >>> events = make_events([5, 9, 7], [0, 4, 8], [0, 0, 0], [1, 0, 1])
        >>> count_faults(events, 6, (8, 1))
        (0, 2, 2, 1)
    """
    library = native.load()
    if library is not None and usable(events):
        found = np.empty(4, 'i8')
        library.events_check(events.ctypes.data, len(events), last, *size,
                             found.ctypes.data)
        return tuple(found.tolist())
    early = events['t'] < np.maximum.accumulate(
        np.concatenate([[last], events['t']]))[:-1]
    outside = (events['x'] >= size[0]) | (events['y'] >= size[1])
    return (_first(early), int(early.sum()), _first(outside),
            int(outside.sum()))


def usable(events: np.ndarray) -> bool:
    """Whether a kernel can run on events as they lie in memory.

    Args:
        events (np.ndarray): Events, (N,).

    Returns:
        bool: Whether they are of type :data:`.array.EVENT`, without gaps.

    Example:
        >>> events = np.zeros(4, EVENT)
        >>> usable(events), usable(events[::2])
        (True, False)
    """
    return events.dtype == EVENT and events.flags.c_contiguous


def _first(chosen: np.ndarray) -> int:
    return int(chosen.argmax()) if chosen.any() else -1


class Checks:
    """Checks a recording chunk by chunk.

    Args:
        faults (Faults): What to do about faults.
        size (tuple[int, int], optional): Width and height of the sensor.
        bits (int, optional): Bits of the clock, if it wraps.
    """

    def __init__(self, faults: Faults, size: tuple[int, int] | None,
                 bits: int | None) -> None:
        self.faults = faults
        self.size = size
        self.bits = bits
        self.last = 0  # so that times below 0 are early
        self.wrapped = 0  # us to add

    def __call__(self, first: int, events: np.ndarray) -> np.ndarray:
        """Return the events without those at fault.

        Args:
            first (int): Index of the first one in the recording.
            events (np.ndarray): Events, (N,); may be changed.
        """
        if not len(events):
            return events
        if self.wrapped:
            events['t'] += self.wrapped
        size = self.size or ANY_SIZE
        early, _, outside, _ = count_faults(events, self.last, size)
        if early >= 0 and self.bits:
            self._count_on(first, events)
        if early >= 0 or outside >= 0:
            events = self._without(first, events, size)
        if len(events):
            self.last = int(events['t'][-1])
        return events

    def _count_on(self, first: int, events: np.ndarray) -> None:
        """Undo wraps: falls of more than half of what the clock counts."""
        t = events['t']
        before = np.concatenate([[max(self.last, t[0])], t[:-1]])
        wraps = before - t > 1 << self.bits - 1
        if not wraps.any():
            return
        i = _first(wraps)
        self.faults.found(
            'time wrapped (counted on)', f'from {before[i]} us to {t[i]} us '
            f'at event {first + i}; the clock has {self.bits} bits',
            int(wraps.sum()))
        t += np.cumsum(wraps) << self.bits
        self.wrapped += int(wraps.sum()) << self.bits

    def _without(self, first: int, events: np.ndarray,
                 size: tuple[int, int]) -> np.ndarray:
        """Leave out early events and those outside the sensor."""
        latest = np.maximum.accumulate(
            np.concatenate([[self.last], events['t']]))[:-1]
        early = events['t'] < latest
        outside = (events['x'] >= size[0]) | (events['y'] >= size[1])
        below = events['t'] < 0
        if below.any():
            i = _first(below)
            self.faults.found(
                'negative time', f'event {first + i} at {events["t"][i]} us',
                int(below.sum()))
        late = early & ~below
        if late.any():
            i = _first(late)
            self.faults.found(
                'event out of order', f'event {first + i} at '
                f'{events["t"][i]} us, after one at {latest[i]} us',
                int(late.sum()))
        if outside.any():
            i = _first(outside)
            x, y = events['x'][i], events['y'][i]
            self.faults.found(
                'event outside the sensor', f'event {first + i} at x {x}, '
                f'y {y}; the sensor is {size[0]}x{size[1]}',
                int(outside.sum()))
        return events[~(early | outside)]
