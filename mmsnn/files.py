"""Files that are either whole or not there."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: No room on the disk, none left to the user, or none to the process.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    part = path.with_name(f'.{path.stem}.{os.getpid()}.part{path.suffix}')
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
