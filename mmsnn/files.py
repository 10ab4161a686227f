"""Files that are either whole or not there."""

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: No room on the disk, none left to the user, or none to the process.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NUMBER = re.compile(r'\.(\d{1,9})\.part(?:\.[^.]*)?$')


def _part(path: Path, process: int | str) -> Path:
    """The temporary name that a process gives a file."""
    return path.with_name(f'.{path.stem}.{process}.part{path.suffix}')


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Let a file be written under a temporary name, then rename it.

    An error inside the block leaves what was at ``path`` before as it was.
    The folder of the file is made. What is written is on the disk before the
    file has its name, so that a machine that goes down leaves no cut file.

    Args:
        path (str | Path): The file.

    Yields:
        Path: The temporary name, in the same folder and with the same suffix.

    Raises:
        OSError: The disk is full, which is said with the name of the file, or
            the file can not be written for another reason.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / 'new' / 'notes.txt'
        >>> with whole_file(path) as part:
        ...     _ = part.write_text('two words')
        ...     path.exists()
        False
        >>> path.read_text(), [file.name for file in path.parent.iterdir()]
        ('two words', ['notes.txt'])
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path, os.getpid())
    try:
        yield part
        with part.open('rb+') as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        kept = '; the old one is kept' if path.exists() else ''
        raise OSError(
            error.errno, f'disk full: {path} could not be written{kept}'
        ) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def naming_full_disk(folder: str | Path) -> Iterator[None]:
    """Say that a disk is full, where an error does not name the file.

    Args:
        folder (str | Path): Into which the block writes.

    Raises:
        OSError: As in the block, with a sentence.

    Example:
        >>> with naming_full_disk('runs/a'):
        ...     raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        Traceback (most recent call last):
        OSError: [Errno 28] disk full: a file in runs/a could not be written
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL or 'disk full' in str(error):
            raise
        file = error.filename or f'a file in {folder}'
        raise OSError(
            error.errno, f'disk full: {file} could not be written') from error


def remove_parts(path: str | Path) -> None:
    """Remove what is left of files whose process was killed while it wrote
    them: those that no process of this machine, or this one, was writing.

    Args:
        path (str | Path): The file, which this process is not writing now. Its
            name may be a pattern.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for process in 1, 999999999:  # the second does not run
        ...     (folder / f'.iter_4.{process}.part.pth').touch()
        >>> remove_parts(folder / '*.pth')
        >>> [file.name for file in folder.iterdir()]
        ['.iter_4.1.part.pth']
    """
    pattern = _part(Path(path), '*')
    for part in pattern.parent.glob(pattern.name):
        number = _NUMBER.search(part.name)
        if number and not _is_of_another(int(number[1])):
            part.unlink(missing_ok=True)


def _is_of_another(process: int) -> bool:
    """Whether a process other than this one runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another user
    return process != os.getpid()


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path (str | Path): The file. Its folder is made.
        content (str | bytes): A text, written as UTF-8, or bytes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / 'new' / 'notes.txt'
        >>> write_whole(path, 'two words')
        >>> path.read_text()
        'two words'
    """
    if isinstance(content, str):
        content = content.encode()
    with whole_file(path) as part:
        part.write_bytes(content)


def dump_json(path: str | Path,
              content: Any,
              indent: int | None = 1) -> None:
    """Write a JSON file whole or not at all.

    Args:
        path (str | Path): The file. Its folder is made.
        content (Any): JSON values.
        indent (int, optional): Spaces of a level; None writes one line.
            Defaults to 1.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / 'numbers.json'
        >>> dump_json(path, dict(a=[1, 2]), indent=None)
        >>> path.read_text().strip()
        '{"a": [1, 2]}'
    """
    write_whole(path, json.dumps(content, indent=indent) + '\n')
