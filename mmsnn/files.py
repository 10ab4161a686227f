"""Files that are either whole or not there."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Let a file be written under a temporary name, then rename it.

    An error inside the block leaves what was at ``path`` before as it was.
    The folder of the file is made.

    Args:
        path (str | Path): The file.

    Yields:
        Path: The temporary name, in the same folder and with the same suffix.

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
        os.replace(part, path)
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
