"""Events in NumPy's files, ``.npy`` and ``.npz``.

Headers are read here, not by ``np.load``, which takes what they claim: what
can't be in the file is refused before memory is asked for.
"""

import ast
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mmsnn.datasets.events.faults import EventFileError, Faults, quoted, told

from .columns import ColumnReader
from .reader import read_elements

_MAGIC = b'\x93NUMPY'
# Versions, and the bytes of the length of the header.
_VERSIONS = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_HEADER = 1 << 16
# What a damaged ZIP makes Python raise, by reading it.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, OverflowError,
            RuntimeError, ValueError, struct.error)


class NPYReader(ColumnReader):
    """Reads a structured array, slice by slice."""

    def _open(self) -> None:
        """Find the columns in the type of the array."""
        self.dtype, count, self.data = find_structured(self.path, self.faults)
        self.names = self.find(self.dtype.names, 'the structured array')
        columns = {key: self.dtype[name] for key, name in self.names.items()}
        self.check_columns({key: (kind.base, (count, *kind.shape))
                            for key, kind in columns.items()})

    def rows(self, first: int, stop: int,
             keys: str = 'txyp') -> dict[str, np.ndarray]:
        """Read a slice of the array."""
        array = read_elements(self.path, self.dtype, self.data, first, stop,
                              self.faults)
        return {key: array[self.names[key]] for key in keys}


class NPZReader(ColumnReader):
    """Reads four arrays, or one that is structured, each as a whole."""

    def _open(self) -> None:
        """Read the arrays."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                self.columns = self._columns(archive)
        except EventFileError:
            raise
        except _DAMAGED as error:
            # An OSError is a jump to a place that no file has.
            raise self.faults.error('no whole .npz file of numbers: ' + (
                'damaged bytes' if isinstance(error, OSError) else
                told(error))) from None
        self.check_columns({key: (column.dtype, column.shape)
                            for key, column in self.columns.items()})

    def rows(self, first: int, stop: int,
             keys: str = 'txyp') -> dict[str, np.ndarray]:
        """Slice the columns."""
        return {key: self.columns[key][first:stop] for key in keys}

    def _columns(self, archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
        members = {info.filename.removesuffix('.npy'): info
                   for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise self.faults.error('two of its arrays have one name')
        if len(members) == 1:
            info, = members.values()
            dtype, _, _ = self._member(archive, info)
            if dtype.names:
                names = self.find(dtype.names, 'the structured array')
                self.check_expanded(info.file_size, info.filename)
                array = self._array(archive, info)
                return {key: array[name] for key, name in names.items()}
        names = self.find(members, 'the file')
        self.check_expanded(
            sum(members[name].file_size for name in names.values()),
            'its arrays')
        return {key: self._array(archive, members[name])
                for key, name in names.items()}

    def _member(self, archive, info) -> tuple[np.dtype, tuple, int]:
        """Type, shape and start of an array, from its header."""
        if info.compress_type not in (zipfile.ZIP_STORED,
                                      zipfile.ZIP_DEFLATED):
            raise self.faults.error(
                f'{quoted(info.filename)} is compressed by method '
                f'{info.compress_type}; np.savez writes 0 and 8')
        with archive.open(info) as file:
            return *read_header(file, self.faults, info.filename), file.tell()

    def _array(self, archive: zipfile.ZipFile,
               info: zipfile.ZipInfo) -> np.ndarray:
        dtype, shape, at = self._member(archive, info)
        # A column of other dimensions is refused when all are there.
        count = whole_rows(math.prod(shape), dtype, info.file_size - at,
                           self.faults)
        with archive.open(info) as file:
            data = file.read(info.file_size)
            rest = file.read(1)  # at the end the checksum is looked at
        if len(data) != info.file_size or rest:
            raise self.faults.error(
                f'{quoted(info.filename)} has other than the '
                f'{info.file_size} bytes that the file claims')
        array = np.frombuffer(data, dtype, count, at)
        return array if len(shape) == 1 else array.reshape(shape)


def find_structured(path: Path,
                    faults: Faults) -> tuple[np.dtype, int, int]:
    """Find a structured array in a ``.npy`` file.

    Args:
        path (Path): The file.
        faults (Faults): What to do where it is cut off, or has more.

    Returns:
        tuple[np.dtype, int, int]: Type of the elements, number of those that
        are there, and the byte where they begin.

    Raises:
        EventFileError: It has none, in one dimension.
    """
    with open(path, 'rb') as file:
        dtype, shape = read_header(file, faults, 'it')
        at = file.tell()
        there = file.seek(0, 2) - at
    if len(shape) != 1 or not dtype.names:
        raise faults.error(
            'the array must be structured, in one dimension, got '
            f'{dtype} of shape {shape}')
    return dtype, whole_rows(shape[0], dtype, there, faults), at


def read_header(file: BinaryIO, faults: Faults,
                what: str) -> tuple[np.dtype, tuple[int, ...]]:
    """Read the header of an array.

    Args:
        file (BinaryIO): The file, at its first byte; afterwards at the first
            byte of data.
        faults (Faults): For the error.
        what (str): What has the header, for the error.

    Returns:
        tuple[np.dtype, tuple[int, ...]]: Type of the elements, and shape.

    Raises:
        EventFileError: It is none, or not one of numbers.
    """
    start = file.read(8)
    size = _VERSIONS.get(tuple(start[6:]))
    if start[:6] != _MAGIC or not size:
        raise faults.error(f'{what} is no whole .npy file of numbers: it '
                           f'begins with {quoted(start)}')
    length = int.from_bytes(file.read(size), 'little')
    text = file.read(min(length, _HEADER))
    if len(text) < length:
        raise faults.error(f'{what} is no whole .npy file of numbers: its '
                           f'header of {length:,} bytes is cut off')
    try:
        header = ast.literal_eval(
            text.decode('utf-8' if start[6] == 3 else 'latin-1').strip())
        dtype = np.lib.format.descr_to_dtype(header['descr'])
        shape = header['shape']
        valid = not dtype.hasobject and dtype.itemsize and isinstance(
            shape, tuple) and all(
                type(side) is int and 0 <= side < 1 << 63 for side in shape)
    # What a header says becomes Python's literals and NumPy's types, whose
    # constructors raise whatever they like.
    except Exception:  # noqa: BLE001
        valid = False
    if not valid:
        raise faults.error(f'{what} is no whole .npy file of numbers: its '
                           'header has no type and shape of such an array')
    return dtype, shape


def whole_rows(count: int, dtype: np.dtype, there: int,
               faults: Faults) -> int:
    """How many of an array's elements a file has.

    Args:
        count (int): So many the header claims.
        dtype (np.dtype): Their type.
        there (int): Bytes behind the header.
        faults (Faults): What to do where they differ.

    Returns:
        int: The number of whole ones that are there and claimed.

    Raises:
        EventFileError: They differ, unless faults are skipped.
    """
    wanted = count * dtype.itemsize
    if there < wanted:
        faults.found(
            'cut off', f'no whole .npy file: {there} of {wanted} bytes of '
            f'{count} elements')
    elif there > wanted:
        faults.found(
            'more than the header says', f'{there} bytes behind the header, '
            f'of which {count} elements have {wanted}')
    return min(count, there // dtype.itemsize)
