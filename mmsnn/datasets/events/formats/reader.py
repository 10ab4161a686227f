"""The base class of readers, and helpers that they share."""

import importlib
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from mmsnn.datasets.events.faults import EventFileError, Faults

#: Words or events of a chunk.
CHUNK = 1 << 17


class EventReader(ABC):
    """Reads the events of one format, chunk by chunk.

    Making it reads the header. Checks that all formats share (order, sensor,
    wrapping times) are made by
    :class:`mmsnn.datasets.events.recording.Recording`.

    Args:
        path (Path): The recording.
        faults (Faults): What to do about faults.
    """

    #: Bits of the format's timestamps, if these wrap.
    bits: int | None = None
    #: Width and height of the sensor, if the header has them.
    size: tuple[int, int] | None = None

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self._open()

    @abstractmethod
    def _open(self) -> None:
        """Read the header.

        Raises:
            EventFileError: The file is not of the format, or damaged.
        """

    @abstractmethod
    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the events, in file order.

        Args:
            start (int, optional): Events before this time (us) may be left
                out, by a format that can jump. If all are, one is yielded
                nevertheless: nothing means an empty recording.

        Yields:
            tuple[int, np.ndarray]: Index of the first event in the
            recording, and the events, (N,).
        """

    def words(self, file: BinaryIO, dtype: str) -> Iterator[np.ndarray]:
        """Yield the rest of a file in chunks of words.

        Args:
            file (BinaryIO): The file, at the first word.
            dtype (str): NumPy's type of a word.

        Yields:
            np.ndarray: Words, (N,), or (N, ...) for a type of several numbers.

        Raises:
            EventFileError: The last word is cut off, unless faults are
                skipped.
        """
        dtype = np.dtype(dtype)
        while True:
            at = file.tell()
            data = file.read(CHUNK * dtype.itemsize)
            rest = len(data) % dtype.itemsize
            if rest:
                self.faults.found(
                    'cut off', f'{rest} of {dtype.itemsize} bytes of a word '
                    f'at byte {at + len(data) - rest}, where the file ends')
            if len(data) >= dtype.itemsize:
                yield np.frombuffer(data, dtype, len(data) // dtype.itemsize)
            if len(data) < CHUNK * dtype.itemsize:
                return


def header_lines(file: BinaryIO, mark: bytes,
                 last: Sequence[bytes]) -> list[str]:
    """The lines at the start of a file that begin with a mark.

    Args:
        file (BinaryIO): The file, afterwards at the first byte of data.
        mark (bytes): What a line begins with, one byte.
        last (Sequence[bytes]): Lines after which no other can follow.

    Returns:
        list[str]: The lines without mark and line end.
    """
    lines = []
    while file.peek(1)[:1] == mark:
        line = file.readline().strip()
        lines.append(line[1:].strip().decode('ascii', 'replace'))
        if line in last:
            break
    return lines


def first_at(times: Sequence, start: int | None) -> int:
    """Index of the first event from a time on.

    Args:
        times (Sequence): Times in order, us.
        start (int, optional): The time, us. None is before all.

    Returns:
        int: The index; that of the last event where all are earlier, 0 where
        the last time is before the first.

    Example:
        >>> first_at([3, 5, 9], 4), first_at([3, 5, 9], 10)
        (1, 2)
    """
    if start is None or not len(times) or times[0] > times[-1]:
        return 0
    index = bisect_left(range(len(times)), start, key=lambda i: times[i])
    return min(index, len(times) - 1)


def need(module: str, what: str, path: Path) -> ModuleType:
    """Import an optional library.

    Args:
        module (str): The module to import.
        what (str): The format that is read by it, for the error.
        path (Path): The recording, for the error.

    Returns:
        ModuleType: The module.

    Raises:
        EventFileError: It is not installed; the message says how to get it.

    Example:
        >>> need('zlib', 'gzip', Path('a.gz')).__name__
        'zlib'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition('.')[0]
        if error.name != name:
            raise
        raise EventFileError(
            f'{path}: {what} is read by {name}, which is not installed: '
            'pip install "mmsnn_suite[events]"') from None
