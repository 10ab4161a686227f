"""The format of N-MNIST and N-Caltech101, 5 bytes an event."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmsnn.datasets.events.array import EVENT

from .reader import EventReader

# What has this row is no event: the clock has gone on by this many us.
_CLOCK_ROW = 240
_CLOCK_STEP = 1 << 13


class ATISReader(EventReader):
    """Reads column, row, 1 bit of polarity and 23 bits of time.

    The format has no header, hence no magic and no sensor size. A row of 240
    is no event: from there on, times are 8192 us later.
    """

    bits = 23

    def _open(self) -> None:
        """Make sure that the file is there; it has no header."""
        self.path.stat()

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield all events, since no index says where a time begins."""
        first, later = 0, 0
        with open(self.path, 'rb') as file:
            for words in self.words(file, '5u1'):
                x, y, upper, middle, lower = words.T
                t = (upper & 127).astype('i8') << 16
                t |= middle.astype('i8') << 8
                t |= lower
                clock = y == _CLOCK_ROW
                events = np.empty(len(words), EVENT)
                events['t'] = t + later
                events['x'], events['y'], events['p'] = x, y, upper >> 7
                if clock.any():
                    steps = np.cumsum(clock)
                    events['t'] += steps * _CLOCK_STEP
                    later += int(steps[-1]) * _CLOCK_STEP
                    events = events[~clock]
                yield first, events
                first += len(events)


def write_atis(path: str | os.PathLike, events: np.ndarray) -> None:
    """Write events as ``.bin``, 5 bytes each.

    Args:
        path (str | os.PathLike): The file.
        events (np.ndarray): Events in order of time, (N,), of type
            :data:`.array.EVENT`: x below 256, y below 240, t below 2**23 us.

    Raises:
        ValueError: An event does not fit into the format.
    """
    t, x, y = (events[key].astype('i8') for key in 'txy')
    wrong = (x > 255) | (y >= _CLOCK_ROW) | (t < 0) | (t >= 1 << 23)
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(
            f'{path}: event {i} at {t[i]} us, x {x[i]}, y {y[i]} does not fit '
            f'into 5 bytes: x goes up to 255, y to {_CLOCK_ROW - 1}, time to '
            f'{(1 << 23) - 1} us')
    words = np.empty((len(events), 5), 'u1')
    words[:, 0], words[:, 1] = x, y
    words[:, 2] = (events['p'].astype('i8') << 7) | (t >> 16)
    words[:, 3], words[:, 4] = t >> 8 & 255, t & 255
    Path(path).write_bytes(words.tobytes())
