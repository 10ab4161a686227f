"""Faults of a recording, which raise an error or are skipped and counted."""

import logging
from collections import Counter
from pathlib import Path

from mmengine.logging import print_log

#: Valid ``on_error``.
ON_ERROR = ('raise', 'skip')


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
            EventFileError: It names the file.
        """
        return EventFileError(f'{self.path}: {reason}')

    def size(self, width, height) -> tuple[int, int]:
        """Width and height of the sensor as a header has them.

        Args:
            width (str | int): Width, pixels.
            height (str | int): Height, pixels.

        Returns:
            tuple[int, int]: The same as integers.

        Raises:
            EventFileError: They are no positive integers.
        """
        try:
            size = int(width), int(height)
        except ValueError:
            size = 0, 0
        if min(size) < 1:
            raise self.error('the header must have width and height of the '
                             f'sensor, but has {width!r} and {height!r}')
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
                f'{self.path}: ' + ', '.join(
                    f'{count} x {what}'
                    for what, count in self.counts.items()),
                logger='current',
                level=logging.WARNING)
            self.counts.clear()
