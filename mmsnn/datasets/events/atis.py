"""The 5 bytes an event of N-MNIST and N-Caltech101."""

from collections.abc import Iterator
from typing import Optional

import numpy as np

from .array import EVENT
from .reader import EventReader

# A row below the sensor's says that the clock has gone on, by this.
_CLOCK_ROW = 240
_CLOCK_STEP = 1 << 13


class ATISReader(EventReader):
    """Reads column, row, 1 bit of polarity and 23 bits of time.

    The format has no header, hence no magic and no sensor size. A row of 240
    is no event: from there on, times are 8192 us later.
    """

    bits = 23

    def open(self) -> None:
        self.path.stat()

    def chunks(self,
               start: Optional[int]) -> Iterator[tuple[int, np.ndarray]]:
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
