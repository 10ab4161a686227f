"""The newest checkpoint of a folder that can be read."""

import logging
import re
from pathlib import Path

from mmengine.logging import print_log

from .reading import read_checkpoint
from .trust import CheckpointError, CheckpointRefused

_NUMBERED = re.compile(r'(?P<kind>.*?)(?P<number>\d+)(?P<suffix>\.pth)')


def _number(path: Path) -> int:
    found = _NUMBERED.fullmatch(path.name)
    return int(found['number']) if found else -1


def _older(last: Path | None, folder: Path) -> list[Path]:
    """Checkpoints of a folder before a certain one, the newest first."""
    named = _NUMBERED.fullmatch(last.name) if last else None
    kinds = [named['kind']] if named else ['iter_', 'epoch_']
    found = []
    for path in folder.glob('*.pth'):
        match = _NUMBERED.fullmatch(path.name)
        if match and match['kind'] in kinds and not path.name.startswith('.'):
            found.append(path)
    if named:
        before = [path for path in found if _number(path) < _number(last)]
        return sorted(before, key=_number, reverse=True)
    return sorted(found, key=lambda path: (path.stat().st_mtime,
                                           _number(path)), reverse=True)


def _fault(path: Path) -> str:
    """Why a file is no whole checkpoint; empty if it is one.

    Its tensors are not read.
    """
    if path.is_dir():  # as DeepSpeed writes them
        return ''
    try:
        read_checkpoint(path, map_location='meta')
    except CheckpointRefused:
        raise
    except (CheckpointError, OSError) as error:
        return str(error)
    return ''


def moved_with(path: str | Path, folder: str | Path) -> Path:
    """Where a file of a run is, if its folder may have been moved or copied.

    Args:
        path (str | Path): Where it was.
        folder (str | Path): Where the run has such files now.

    Returns:
        Path: A file of this name in the folder comes first. If there is none
        in either place, it would be in the folder.

    Example:
        >>> moved_with('gone/best.pth', 'here')
        PosixPath('here/best.pth')
    """
    here = Path(folder) / Path(path).name
    return here if here.exists() or not Path(path).exists() else Path(path)


def find_latest_checkpoint(path: str) -> str | None:
    """Find the newest checkpoint of a run that can be read.

    ``last_checkpoint`` names it. A file of this name beside it is taken
    first, so that a folder may be moved or copied. One that is cut off or
    damaged is skipped, with a warning, and the one before is taken.

    Args:
        path (str): The folder of the run.

    Returns:
        str | None: Its path; None if the folder has no ``last_checkpoint``.

    Raises:
        FileNotFoundError: There is no such file, and none before it.
        CheckpointRefused: The newest one holds more than data.
        CheckpointError: None can be read.
    """
    folder, note = Path(path), Path(path) / 'last_checkpoint'
    if not note.exists():
        print_log('Did not find last_checkpoint to be resumed.')
        return None
    named = note.read_text(errors='replace').strip()
    if '://' in named:
        return named
    last = Path(named) if named and named.isprintable() else None
    if last:
        last = moved_with(last, folder)
        if (last / note.name).exists():  # the folder of a run
            last = None
    if last:
        folder = last.parent
    tried = [last] if last and last.exists() else []
    if not tried:
        print_log(f'{note} names {named[:200]!r}, which is no checkpoint',
                  logger='current', level=logging.WARNING)
    faults = []
    for candidate in tried + _older(last, folder):
        fault = _fault(candidate)
        if not fault:
            if faults or not tried:
                print_log(f'the checkpoint before is taken: {candidate}',
                          logger='current', level=logging.WARNING)
            return str(candidate)
        faults.append(fault)
        print_log(fault, logger='current', level=logging.WARNING)
    if not faults:
        raise FileNotFoundError(
            f'{note} names {named[:200]!r}, which is no checkpoint, and '
            f'there is no older one in {folder}: give --resume CHECKPOINT, or '
            f'remove {note} to begin anew')
    raise CheckpointError(
        f'no checkpoint of {folder} can be read ({len(faults)} tried): '
        f'{faults[0]}; remove {note} to begin anew')
