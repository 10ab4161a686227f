"""File formats of event cameras.

In: a file. Out: its events, piece by piece, as they lie in the file. A new
format is a reader (:class:`.reader.EventReader`) and a line in
:data:`READERS`.
"""

from pathlib import Path

from mmsnn.datasets.events.faults import Faults, quoted

from .aedat import AEDATReader
from .aedat4 import AEDAT4Reader
from .atis import ATISReader
from .dat import DATReader
from .evt import EVTReader
from .hdf5 import HDF5Reader
from .npy import NPYReader, NPZReader
from .reader import EventReader

#: The reader of each suffix, in lower case. ``.aedat`` may hold version 4.
READERS: dict[str, type[EventReader]] = {
    '.raw': EVTReader,
    '.dat': DATReader,
    '.aedat': AEDATReader,
    '.aedat2': AEDATReader,
    '.aedat4': AEDAT4Reader,
    '.bin': ATISReader,
    '.npy': NPYReader,
    '.npz': NPZReader,
    '.h5': HDF5Reader,
    '.hdf5': HDF5Reader,
}


def reader_of(path: Path) -> type[EventReader]:
    """The reader of a file.

    Args:
        path (Path): The file; its suffix tells the format.

    Returns:
        type[EventReader]: The class that reads it.

    Raises:
        EventFileError: The suffix is unknown.

    Example:
        >>> reader_of(Path('night.RAW')).__name__
        'EVTReader'
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Faults(path, 'raise').error(
            f'unknown suffix {quoted(path.suffix)}; known are '
            f'{", ".join(READERS)}')
    if reader is AEDATReader and _is_aedat4(path):
        return AEDAT4Reader
    return reader


def _is_aedat4(path: Path) -> bool:
    with open(path, 'rb') as file:
        return file.read(10) == b'#!AER-DAT4'
