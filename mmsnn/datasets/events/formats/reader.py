"""The base class of readers, and helpers that they share."""

import importlib
import os
import stat
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from mmsnn.datasets.events.faults import Faults

#: Words or events of a chunk.
CHUNK = 1 << 17
#: What a file of some bytes may expand to: so much, or so many times as much.
ROOM, TIMES = 1 << 27, 100
# Bytes of a line, and lines, at most; jAER writes its preferences there.
_LINE, _LINES = 1 << 16, 1 << 16
# Bytes of a header at most.
_HEADER = 1 << 24
# Bytes that no line of text has.
_CONTROL = bytes({*range(32), 127} - set(b'\t\n\r'))


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
        #: Bytes of the file, and what they may expand to.
        self.bytes = path.stat().st_size
        self.most = max(ROOM, TIMES * self.bytes)
        self._open()

    def check_expanded(self, size: int, what: str) -> None:
        """Refuse what is far too large for its file.

        Args:
            size (int): Bytes that the file would expand to.
            what (str): What expands, for the error.

        Raises:
            EventFileError: They are more than :data:`ROOM` and more than
                :data:`TIMES` the file.
        """
        if size > self.most:
            raise self.faults.error(
                f'{what} would take {size:,} bytes, but the whole file has '
                f'{self.bytes:,}: such a recording is damaged or a trap')

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


def check_regular(path: Path, faults: Faults) -> None:
    """Make sure that a recording is a file, which no device or pipe is.

    Args:
        path (Path): The recording.
        faults (Faults): For the error.

    Raises:
        EventFileError: It is something else, or can't be opened.
        FileNotFoundError: There is nothing.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            open(path, 'rb').close()
            return
    except FileNotFoundError:
        raise
    except OSError as error:
        raise faults.error(f'it cannot be opened: {error.strerror}') from None
    what = next((name for name, is_it in (
        ('a folder', stat.S_ISDIR), ('a pipe', stat.S_ISFIFO),
        ('a socket', stat.S_ISSOCK)) if is_it(mode)), 'a device')
    raise faults.error(f'it is {what}; a recording is a file')


def read_elements(path: Path, dtype: np.dtype, at: int, first: int, stop: int,
                  faults: Faults) -> np.ndarray:
    """Read some of the elements that a file was seen to have.

    They are not mapped into memory: if the file was cut off since then, that
    would end the process.

    Args:
        path (Path): The file.
        dtype (np.dtype): Their type.
        at (int): Byte where they begin.
        first (int): Index of the first one to read.
        stop (int): Index behind the last one.
        faults (Faults): For the error.

    Returns:
        np.ndarray: The elements, (N,).

    Raises:
        EventFileError: The file has become shorter.
    """
    found = np.empty(stop - first, dtype)
    with open(path, 'rb') as file:
        file.seek(at + first * dtype.itemsize)
        there = file.readinto(found.view('u1'))
    if there < found.nbytes:
        raise faults.error('it was cut off while it was read, at element '
                           f'{first + there // dtype.itemsize}')
    return found


def header_lines(file: BinaryIO, mark: bytes, last: Sequence[bytes],
                 faults: Faults, words: Sequence[int] = ()) -> list[str]:
    """The lines at the start of a file that begin with a mark.

    Args:
        file (BinaryIO): The file, afterwards at the first byte of data.
        mark (bytes): What a line begins with, one byte.
        last (Sequence[bytes]): Lines after which no other can follow.
        faults (Faults): For the error.
        words (Sequence[int]): Bytes that an event may have, where nothing
            marks the end of the header and data may begin with the mark, too.

    Returns:
        list[str]: The lines without mark and line end.

    Raises:
        EventFileError: A line is too long, or no text.
    """
    lines = []
    while file.peek(1)[:1] == mark:
        start = file.tell()
        line = file.readline(_LINE)
        if lines and words and _is_data(line, start, file, words):
            file.seek(start)
            break
        if len(line) == _LINE or len(lines) == _LINES or (
                file.tell() > _HEADER):
            raise faults.error(
                f'its header does not end: at line {len(lines) + 1}, a line '
                f'has more than {_LINE:,} bytes, or all more than {_HEADER:,}'
            )
        if line.translate(None, _CONTROL) != line:
            raise faults.error(f'line {len(lines) + 1} of its header holds '
                               'bytes that are no text')
        line = line.strip()
        lines.append(line[1:].strip().decode('ascii', 'replace'))
        if line in last:
            break
    return lines


def _is_data(line: bytes, start: int, file: BinaryIO,
             words: Sequence[int]) -> bool:
    """Whether what begins with a mark is an event: a number of bytes up to
    the end of the file that events have, several of its own no text."""
    if len(line[:8]) - len(line[:8].translate(None, _CONTROL)) < 2:
        return False
    left = os.fstat(file.fileno()).st_size - start
    return any(left % word == 0 for word in words)


def header_fields(lines: Sequence[str]) -> dict[str, str]:
    """Lines of a header as names and values.

    Args:
        lines (Sequence[str]): As of :func:`header_lines`.

    Returns:
        dict[str, str]: The first word of each line, and what follows it.

    Example:
        >>> header_fields(['evt 2.0', 'end', 'geometry 64x48'])
        {'evt': '2.0', 'geometry': '64x48'}
    """
    parts = (line.partition(' ') for line in lines)
    return {name: rest.strip() for name, _, rest in parts if rest.strip()}


def first_at(time: Callable[[int], int], count: int,
             start: int | None) -> int:
    """Index of the first event from a time on.

    Args:
        time (Callable[[int], int]): The time of an event, us, which rises.
        count (int): Number of events.
        start (int, optional): The time, us. None is before all.

    Returns:
        int: The index; that of the last event where all are earlier, 0 where
        the last time is before the first.

    Example:
        >>> time = [3, 5, 9].__getitem__
        >>> first_at(time, 3, 4), first_at(time, 3, 10)
        (1, 2)
    """
    if start is None or not count or time(0) > time(count - 1):
        return 0
    return min(bisect_left(range(count), start, key=time), count - 1)


def need(module: str, what: str, faults: Faults) -> ModuleType:
    """Import an optional library.

    Args:
        module (str): The module to import.
        what (str): The format that is read by it, for the error.
        faults (Faults): For the error.

    Returns:
        ModuleType: The module.

    Raises:
        EventFileError: It is not installed; the message says how to get it.

    Example:
        >>> need('zlib', 'gzip', Faults(Path('a.gz'), 'raise')).__name__
        'zlib'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition('.')[0]
        if error.name != name:
            raise
        raise faults.error(
            f'{what} is read by {name}, which is not installed: '
            'pip install "mmsnn_suite[events]"') from None
