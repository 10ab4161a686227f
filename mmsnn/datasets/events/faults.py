"""Faults of a recording, which raise an error or are skipped and counted."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.logging import print_log

#: Valid ``on_error``.
ON_ERROR = ('raise', 'skip')
#: Width and height that no sensor exceeds; columns and rows are below it.
LARGEST = (1 << 16) - 1


#: Characters of a message at most, with the file's name.
LONGEST = 300
_LONGEST_PATH = 160


class EventFileError(ValueError):
    """A recording cannot be read as it is; the message names the file."""


class Faults:
    """Raises at the first fault of a recording, or counts them.

    Args:
        path (Path): The recording.
        on_error (str): 'raise' or 'skip'.

    Raises:
        ValueError: ``on_error`` is neither.
    """

    def __init__(self, path: Path, on_error: str) -> None:
        if on_error not in ON_ERROR:
            raise ValueError(f'on_error must be one of {", ".join(ON_ERROR)}, '
                             f'got {on_error!r}')
        self.path = path
        self.on_error = on_error
        self.counts = Counter()

    def error(self, reason: str) -> EventFileError:
        """The error to raise where reading cannot go on.

        Args:
            reason (str): What is wrong.

        Returns:
            EventFileError: It names the file, in one line of at most
            :data:`LONGEST` characters that can be printed.
        """
        path = printable(str(self.path))
        if len(path) > _LONGEST_PATH:
            path = '...' + path[3 - _LONGEST_PATH:]
        reason = shorten(printable(reason), LONGEST - len(path) - 2)
        return EventFileError(f'{path}: {reason}')

    @contextmanager
    def named(self) -> Iterator[None]:
        """Name the file in what the system says while it is read.

        Raises:
            EventFileError: Instead of an ``OSError`` or ``MemoryError``.
        """
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, MemoryError) as error:
            raise self.error('it cannot be read: ' + (
                str(error) or type(error).__name__)) from error

    def size(self, width, height) -> tuple[int, int]:
        """Width and height of the sensor as a header has them.

        Args:
            width (str | int): Width, pixels.
            height (str | int): Height, pixels.

        Returns:
            tuple[int, int]: The same as integers.

        Raises:
            EventFileError: They are no whole numbers from 1 to
            :data:`LARGEST`.
        """
        try:
            size = int(width), int(height)
            valid = all(1 <= side <= LARGEST for side in size) and not any(
                isinstance(side, float) and side % 1
                for side in (width, height))
        except (TypeError, ValueError, OverflowError):
            valid = False
        if not valid:
            raise self.error(
                'the header must have width and height of the sensor, up to '
                f'{LARGEST}, but has {quoted(width)} and {quoted(height)}')
        return size

    def found(self, what: str, where: str, count: int = 1) -> None:
        """Raise, or count and let the caller go on.

        Args:
            what (str): The kind of fault, as it stands in the summary.
            where (str): Where the first one is: byte, event.
            count (int): How many there are. Defaults to 1.

        Raises:
            EventFileError: If ``on_error`` is 'raise'.
        """
        if self.on_error == 'raise':
            where = shorten(where, LONGEST - _LONGEST_PATH - len(what) - 40)
            raise self.error(f"{what}: {where} (on_error='skip' goes on "
                             'without)')
        self.counts[what] += count

    def note(self, what: str, count: int) -> None:
        """Count what a format leaves out by its definition.

        Args:
            what (str): The kind, as it stands in the summary.
            count (int): How many there are; 0 is not noted.
        """
        if count:
            self.counts[what] += count

    def log(self) -> None:
        """Say what was counted since the last call."""
        if self.counts:
            print_log(
                f'{printable(str(self.path))}: ' + ', '.join(
                    f'{count} x {what}'
                    for what, count in self.counts.items()),
                logger='current',
                level=logging.WARNING)
            self.counts.clear()


def printable(text: str) -> str:
    r"""A text in which everything that can't be printed is escaped.

    Args:
        text (str): Any text.

    Returns:
        str: One line.

    Example:
        >>> print(printable('a\x00b\nc'))
        a\x00b\nc
    """
    return ''.join(
        char if char.isprintable() else char.encode('unicode_escape').decode()
        for char in text)


def quoted(value) -> str:
    r"""What a file says, for a message: never long, never binary.

    Args:
        value (Any): What was read.

    Returns:
        str: Up to 40 characters in quotes, or that it is no text.

    Example:
        >>> quoted('wide'), quoted(b'\x00\xff'), quoted(7)
        ("'wide'", 'bytes that are no text', '7')
    """
    if isinstance(value, bytes):
        value = value.decode('ascii', 'replace')
    if not isinstance(value, str):
        return shorten(printable(str(value)), 40)
    if not (value.isascii() and value.isprintable()):
        return 'bytes that are no text'
    return repr(value if len(value) <= 40 else f'{value[:37]}...')


def told(error: Exception) -> str:
    r"""What a library says of a damaged file.

    Args:
        error (Exception): What it raised.

    Returns:
        str: Its words, unless there are none or bytes of the file are among
        them.

    Example:
        >>> told(KeyError('no such group')), told(ValueError('got \x00'))
        ('no such group', 'damaged bytes')
    """
    text = str(error.args[0] if error.args and isinstance(
        error.args[0], str) else error)
    if not text or not text.isascii() or not text.isprintable() or (
            '\\x' in text):
        return 'damaged bytes'
    return text


def shorten(text: str, most: int) -> str:
    """Leave out the middle of a text that is too long.

    Args:
        text (str): The text.
        most (int): Characters at most.

    Returns:
        str: The text, or its start and its last 40 characters.

    Example:
        >>> len(shorten('a' * 500, 90))
        90
    """
    if len(text) <= most:
        return text
    end = min(40, most // 2)
    return f'{text[:most - end - 5]} ... {text[-end:]}'
