"""Converts folders of recordings to .npy files, which are read fastest."""

import os
import shutil
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress

from mmsnn.datasets.events import EventFileError, Recording
from mmsnn.datasets.events.array import PACKED
from mmsnn.datasets.events.formats import READERS
from mmsnn.files import whole_file


def convert_folder(source: str | os.PathLike,
                   target: str | os.PathLike,
                   size: tuple[int, int] | None = None,
                   on_error: str = 'raise') -> tuple[int, list[str]]:
    """Write every recording of a folder as ``.npy``, with progress.

    The tree stays as it is, so that a data set reads the new folder like the
    old one; lists of labels and other small files (text, CSV) are copied. A
    window of a ``.npy`` is found by bisection, and nothing else of it is read.
    Files that are there already stay, so that an interrupted run can be
    repeated; each is written under a temporary name first.

    Args:
        source (str | os.PathLike): The folder.
        target (str | os.PathLike): The folder to write.
        size (tuple[int, int], optional): Width and height of the sensor, for
            formats whose header has none, to find events outside.
        on_error (str): 'raise', or 'skip': leave out what is wrong in
            recordings, and recordings that can't be read at all. Defaults to
            'raise'.

    Returns:
        tuple[int, list[str]]: Number of recordings written now, and why others
        were left out.

    Raises:
        FileNotFoundError: The folder has no recordings.
        ValueError: ``target`` is ``source``, lies inside it, or two
            recordings have one name without suffix.
        EventFileError: A recording has a fault.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    if target == source or source in target.parents:
        raise ValueError(f'{target} must lie outside of {source}')
    files = sorted(path for path in source.rglob('*') if path.is_file())
    recordings = {}
    for path in files:
        if path.suffix.lower() in READERS:
            out = target / path.relative_to(source).with_suffix('.npy')
            if out in recordings:
                raise ValueError(f'{path} and {recordings[out]} would both '
                                 f'become {out}')
            recordings[out] = path
    if not recordings:
        raise FileNotFoundError(
            f'{source} has no recordings; their suffixes are '
            f'{", ".join(READERS)}')
    for path in files:
        if path.suffix.lower() in ('.txt', '.csv'):
            with whole_file(target / path.relative_to(source)) as part:
                shutil.copyfile(path, part)
    written, skipped = 0, []
    for out, path in track_iter_progress(
            (list(recordings.items()), len(recordings))):
        if out.exists():
            continue
        try:
            recording = Recording(path, size, on_error)
            events = recording.read()
            if not len(events):
                raise recording.faults.error('it has no event')
        except EventFileError as error:
            if on_error == 'raise':
                raise
            skipped.append(str(error))
            continue
        with whole_file(out) as part:
            np.save(part, events.astype(PACKED))
        written += 1
    return written, skipped
