"""Recordings of event cameras, of any supported format."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .array import EVENT
from .checks import Checks
from .faults import LARGEST, Faults
from .formats import reader_of
from .formats.reader import EventReader, check_regular


class Recording:
    """A recording, of which only the header is read until events are asked
    for.

    Args:
        path (str | os.PathLike): The file; its suffix tells the format, see
            :data:`.formats.READERS`.
        size (tuple[int, int], optional): Width and height of the sensor,
            over what the header says. Where neither is known, events outside
            the sensor can't be told.
        on_error (str): What to do about a cut off file, events out of order
            or outside the sensor, a clock that wraps and an empty recording.
            'raise': an error at the first one. 'skip': go on without them,
            count the clock on, and log one summary. Defaults to 'raise'.

    Attributes:
        size (tuple[int, int] | None): Width and height of the sensor.

    Raises:
        EventFileError: The file is not of its format.
        FileNotFoundError: There is no such file.
        ValueError: ``on_error`` is unknown, or ``size`` is no size.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / 'two.bin'
        >>> _ = path.write_bytes(bytes([3, 7, 128, 1, 0, 4, 8, 0, 1, 44]))
        >>> recording = Recording(path, size=(34, 34))
        >>> for events in recording.chunks(start=300):
        ...     print(events.tolist())
        [(300, 4, 8, 0)]
    """

    def __init__(self,
                 path: str | os.PathLike,
                 size: tuple[int, int] | None = None,
                 on_error: str = 'raise') -> None:
        self.path = Path(path)
        self.faults = Faults(self.path, on_error)
        self.size = None if size is None else _checked(size)
        check_regular(self.path, self.faults)
        reader = reader_of(self.path)
        with self.faults.named():
            self.reader: EventReader = reader(self.path, self.faults)
        self.size = self.size or self.reader.size

    def chunks(self,
               start: int | None = None,
               stop: int | None = None) -> Iterator[np.ndarray]:
        """Yield the events of a window, in chunks of some megabytes.

        What comes after the window is not read, so faults there stay
        unknown.

        Args:
            start (int, optional): First time of the window, us.
            stop (int, optional): The time where it has ended, us.

        Yields:
            np.ndarray: Events of type
            :data:`mmsnn.datasets.events.array.EVENT`, (N,), N > 0.

        Raises:
            EventFileError: A fault, unless these are skipped; the message
                names the file and the byte or the event.
        """
        check = Checks(self.faults, self.size, self.reader.bits)
        empty = True
        try:
            for first, events in self._pieces(start):
                events = check(first, events)
                if not len(events):
                    continue
                empty = False
                t = events['t']
                begin = 0 if start is None else np.searchsorted(t, start)
                end = len(t) if stop is None else np.searchsorted(t, stop)
                if begin < end:
                    yield events[begin:end]
                if end < len(t):
                    break
            if empty:
                self.faults.found('empty recording', 'it has no event')
        finally:
            self.faults.log()

    def _pieces(self,
                start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """The reader's chunks; what the system refuses names the file."""
        with self.faults.named():
            yield from self.reader.chunks(start)

    def read(self,
             start: int | None = None,
             stop: int | None = None) -> np.ndarray:
        """Read the events of a window.

        Args:
            start (int, optional): First time of the window, us.
            stop (int, optional): The time where it has ended, us.

        Returns:
            np.ndarray: The events, (N,), see :meth:`chunks`.

        Raises:
            EventFileError: As :meth:`chunks`.
        """
        chunks = list(self.chunks(start, stop))
        if len(chunks) == 1:
            return chunks[0]
        # Copied as bytes: NumPy would copy field by field.
        whole = f'V{EVENT.itemsize}'
        chunks = [np.empty(0, whole), *(c.view(whole) for c in chunks)]
        return np.concatenate(chunks).view(EVENT)


def read_events(path: str | os.PathLike,
                start: int | None = None,
                stop: int | None = None,
                size: tuple[int, int] | None = None,
                on_error: str = 'raise') -> np.ndarray:
    """Read the events of a recording, or of a window of it.

    Args:
        path (str | os.PathLike): The file; its suffix tells the format, see
            :data:`.formats.READERS`.
        start (int, optional): First time of the window, us.
        stop (int, optional): The time where it has ended, us.
        size (tuple[int, int], optional): Width and height of the sensor,
            over what the header says.
        on_error (str): 'raise' or 'skip', see :class:`Recording`.

    Returns:
        np.ndarray: Events in order of time, (N,), with fields ``t`` (us,
        int64), ``x``, ``y`` and ``p`` (0: darker, 1: brighter).

    Raises:
        EventFileError: The file is not of its format or has a fault; the
            message names the file and the byte or the event.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / 'two.bin'
        >>> _ = path.write_bytes(bytes([3, 7, 128, 1, 0, 4, 8, 0, 1, 44]))
        >>> read_events(path).tolist()
        [(256, 3, 7, 1), (300, 4, 8, 0)]
        >>> read_events(path, start=300)['x'].tolist()
        [4]
    """
    return Recording(path, size, on_error).read(start, stop)


def _checked(size) -> tuple[int, int]:
    """A size of the sensor that a caller gave."""
    size = tuple(size)
    if len(size) != 2 or not all(
            isinstance(side, int | np.integer) and 1 <= side <= LARGEST
            for side in size):
        raise ValueError('size must be width and height of the sensor, whole '
                         f'numbers from 1 to {LARGEST}, got {size!r}')
    return size
