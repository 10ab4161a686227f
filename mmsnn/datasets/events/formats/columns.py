"""Events that lie in files by column, in any order."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping

import numpy as np

from mmsnn.datasets.events.array import EVENT
from mmsnn.datasets.events.faults import LARGEST, Faults

from .reader import CHUNK, EventReader, first_at

#: What the columns are called.
NAMES = dict(
    t=('t', 'ts', 'timestamp', 'timestamps'),
    x=('x', 'xs'),
    y=('y', 'ys'),
    p=('p', 'ps', 'pol', 'polarity', 'on'))
_HIGHEST = np.iinfo('i8').max


class ColumnReader(EventReader):
    """Reads four columns, found by name, in slices.

    Polarities are 0 and 1, -1 and 1, or boolean; times are whole us.
    """

    #: Added to all times, us.
    offset = 0
    #: Number of events.
    count = 0

    def find(self, names: Mapping, what: str) -> dict:
        """Find the name of each column.

        Args:
            names (Mapping): The names that there are.
            what (str): What has them, for the error.

        Returns:
            dict[str, str]: The name of the columns ``t``, ``x``, ``y``, ``p``.

        Raises:
            EventFileError: A column is missing.
        """
        found = {
            key: next((name for name in valid if name in names), None)
            for key, valid in NAMES.items()
        }
        lost = [key for key, name in found.items() if name is None]
        if lost:
            raise self.faults.error(
                f'{what} has no {", ".join(lost)} among '
                f'{", ".join(names) or "nothing"}; valid are ' + ', '.join(
                    ' or '.join(NAMES[key]) for key in lost))
        return found

    def check_columns(self, columns: Mapping) -> None:
        """Check what the four columns are, and take their length.

        Args:
            columns (Mapping): Of ``t``, ``x``, ``y`` and ``p``, NumPy's type
                and the shape.

        Raises:
            EventFileError: One is not in one dimension, or not of numbers,
                the lengths differ, or there are far too many events for the
                file.
        """
        for key, (dtype, shape) in columns.items():
            kinds = 'biuf' if key == 'p' else 'iuf'
            if len(shape) != 1 or dtype.kind not in kinds:
                raise self.faults.error(
                    f'column {key} must be real numbers in one dimension, got '
                    f'{dtype} in {len(shape)}')
        lengths = {key: shape[0] for key, (_, shape) in columns.items()}
        if len(set(lengths.values())) > 1:
            raise self.faults.error(f'columns of different lengths: {lengths}')
        self.count = lengths['t']
        # Columns of single bytes grow when they become events.
        self.check_expanded(self.count * EVENT.itemsize, 'its events')

    @abstractmethod
    def rows(self, first: int, stop: int,
             keys: str = 'txyp') -> dict[str, np.ndarray]:
        """Read a slice of columns.

        Args:
            first (int): Index of the first event.
            stop (int): Index behind the last one.
            keys (str): Which columns. Defaults to all.

        Returns:
            dict[str, np.ndarray]: The columns, (N,).

        Raises:
            EventFileError: It can't be read.
        """

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the events from ``start`` on, if times rise on the whole."""
        if start is not None:
            start -= self.offset
        begin = first_at(lambda i: self.rows(i, i + 1, 't')['t'][0].item(),
                         self.count, start)
        for first in range(begin, self.count, CHUNK):
            stop = min(first + CHUNK, self.count)
            yield first, self._events(self.rows(first, stop), first)

    def _events(self, columns: dict[str, np.ndarray],
                first: int) -> np.ndarray:
        t, x, y, p = (whole_numbers(columns[key], key, self.faults, 'event',
                                    first) for key in 'txyp')
        wrong = (p != 0) & (p != 1) & (p != -1)
        if wrong.any():
            i = int(wrong.argmax())
            raise self.faults.error(
                f'polarity {p[i]} of event {first + i}; valid are 0, 1 '
                'and -1')
        if self.offset and len(t):
            for time in int(t.min()), int(t.max()):
                if not -_HIGHEST <= time + self.offset <= _HIGHEST:
                    raise self.faults.error(
                        f'time {time} us, {self.offset} us later, is too '
                        'large for 64 bits')
        events = np.empty(len(t), EVENT)
        events['t'] = t
        events['t'] += self.offset
        events['p'] = p > 0
        outside = ((x < 0) | (x >= LARGEST) | (y < 0) | (y >= LARGEST))
        if outside.any():
            i = int(outside.argmax())
            self.faults.found(
                'event outside each sensor', f'event {first + i} at x {x[i]}, '
                f'y {y[i]}; the largest has {LARGEST} columns and rows',
                int(outside.sum()))
            x, y, events = x[~outside], y[~outside], events[~outside]
        events['x'], events['y'] = x, y
        return events


def whole_numbers(column: np.ndarray, name: str, faults: Faults, what: str,
                  first: int = 0) -> np.ndarray:
    """A column as whole numbers that fit into int64.

    Args:
        column (np.ndarray): Real numbers or booleans, (N,).
        name (str): What it is called, for the error.
        faults (Faults): For the error.
        what (str): What each number belongs to, for the error.
        first (int): Index of the first one. Defaults to 0.

    Returns:
        np.ndarray: The same numbers, (N,); as int64 where they were floating
        or unsigned ones of 64 bits.

    Raises:
        EventFileError: One is a fraction, not a number, or too large.

    Example:
        >>> from pathlib import Path
        >>> whole_numbers(np.array([5., 7.]), 't',
        ...               Faults(Path('a.npy'), 'raise'), 'event')
        array([5, 7])
    """
    kind = column.dtype.kind
    if kind == 'f':
        if column.dtype.itemsize == 2:  # which does not hold 2^63
            column = column.astype('f4')
        wrong = ~((column == np.floor(column)) & (np.abs(column) < 2.**63))
    elif kind == 'u' and column.dtype.itemsize == 8:
        wrong = column > _HIGHEST
    else:
        return column
    if wrong.any():
        i = int(wrong.argmax())
        raise faults.error(
            f'{name} is {column[i]} at {what} {first + i}; whole numbers '
            'below 2^63 are valid, times in us')
    return column.astype('i8')
