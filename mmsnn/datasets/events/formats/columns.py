"""Events in ``.npy``, ``.npz`` and HDF5 files: by column, in any order."""

import importlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from mmsnn.datasets.events.array import EVENT

from .reader import CHUNK, EventReader, first_at, need

# What the columns are called.
_NAMES = dict(
    t=('t', 'ts', 'timestamp', 'timestamps'),
    x=('x', 'xs'),
    y=('y', 'ys'),
    p=('p', 'ps', 'pol', 'polarity', 'on'))


class ColumnReader(EventReader):
    """Reads four columns, found by name, in slices.

    Polarities are 0 and 1, -1 and 1, or boolean; times are whole us.
    """

    #: Added to all times, us.
    offset = 0

    def find(self, names: Mapping, what: str) -> dict:
        """Find the name of each column.

        Args:
            names (Mapping): The names that there are.
            what (str): What has them, for the error.

        Returns:
            dict[str, str]: The name of the columns ``t``, ``x``, ``y``, ``p``.

        Raises:
            EventFileError: A column is missing.
        """
        found = {
            key: next((name for name in valid if name in names), None)
            for key, valid in _NAMES.items()
        }
        lost = [key for key, name in found.items() if name is None]
        if lost:
            raise self.faults.error(
                f'{what} has no {", ".join(lost)} among '
                f'{", ".join(names) or "nothing"}; valid are ' + ', '.join(
                    ' or '.join(_NAMES[key]) for key in lost))
        return found

    def set_columns(self, columns: dict) -> None:
        """Take the four columns.

        Args:
            columns (dict): ``t``, ``x``, ``y`` and ``p``, anything of one
                length that can be sliced.

        Raises:
            EventFileError: The lengths differ.
        """
        lengths = {key: len(column) for key, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise self.faults.error(f'columns of different lengths: {lengths}')
        self.columns = columns

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the events from ``start`` on, if times rise on the whole."""
        count = len(self.columns['t'])
        if start is not None:
            start -= self.offset
        for first in range(
                first_at(self.columns['t'], start), count, CHUNK):
            t, x, y, p = (
                self._whole(key, self.columns[key][first:first + CHUNK], first)
                for key in 'txyp')
            wrong = (p != 0) & (p != 1) & (p != -1)
            if wrong.any():
                i = int(wrong.argmax())
                raise self.faults.error(
                    f'polarity {p[i]} of event {first + i}; valid are 0, 1 '
                    'and -1')
            events = np.empty(len(t), EVENT)
            events['t'] = t
            events['t'] += self.offset
            # Positions that no sensor has become 65535, outside of each.
            events['x'], events['y'] = (np.where(
                (column < 0) | (column > 65535), 65535, column)
                                        for column in (x, y))
            events['p'] = p > 0
            yield first, events

    def _whole(self, key: str, column, first: int) -> np.ndarray:
        column = np.asarray(column)
        if column.ndim != 1 or column.dtype.kind not in 'biuf':
            raise self.faults.error(
                f'column {key} must be numbers in one dimension, got '
                f'{column.dtype} in {column.ndim}')
        if column.dtype.kind == 'f':
            fractions = ~(np.isfinite(column) &
                          (column == np.floor(column)))
            if fractions.any():
                i = int(fractions.argmax())
                raise self.faults.error(
                    f'{key} is {column[i]} at event {first + i}; whole '
                    'numbers are valid, times in us')
            column = column.astype('i8')
        return column


class NPYReader(ColumnReader):
    """Reads a structured array, mapped into memory."""

    def _open(self) -> None:
        """Map the array into memory."""
        try:
            array = np.load(self.path, mmap_mode='r', allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise self.faults.error(
                f'no whole .npy file of numbers: {error}') from None
        if array.ndim != 1 or not array.dtype.names:
            raise self.faults.error(
                'the array must be structured, in one dimension, got '
                f'{array.dtype} of shape {array.shape}')
        names = self.find(array.dtype.names, 'the structured array')
        self.set_columns({key: array[name] for key, name in names.items()})


class NPZReader(ColumnReader):
    """Reads four arrays, or one that is structured, each as a whole."""

    def _open(self) -> None:
        """Read the arrays."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error,
                AttributeError) as error:
            raise self.faults.error(
                f'no whole .npz file of numbers: {error}') from None
        if len(arrays) == 1:
            only, = arrays.values()
            if only.dtype.names:
                arrays = {name: only[name] for name in only.dtype.names}
        names = self.find(arrays, 'the file')
        self.set_columns({key: arrays[name] for key, name in names.items()})


class HDF5Reader(ColumnReader):
    """Reads ``CD/events`` (compound, as Prophesee's), or columns in
    ``events`` (as DSEC's, with its ``t_offset``) or in the root."""

    def _open(self) -> None:
        """Find the columns, the size of the sensor and the offset of times."""
        h5py = need('h5py', 'HDF5', self.path)
        try:
            import_filters()
            self.file = h5py.File(self.path, 'r')
        except OSError as error:
            raise self.faults.error(
                f'no whole HDF5 file: {error}') from None
        group = next((self.file[name] for name in ('CD/events', 'events')
                      if name in self.file), self.file)
        dtype = getattr(group, 'dtype', None)
        if dtype is not None:
            names = self.find(dtype.names or (), group.name)
            columns = {key: _Column(self, group, name)
                       for key, name in names.items()}
        else:
            names = self.find(group, group.name)
            columns = {key: _Column(self, group[name])
                       for key, name in names.items()}
        self.set_columns(columns)
        if 't_offset' in self.file:
            self.offset = int(self.file['t_offset'][()])
        attributes = {**self.file.attrs}
        geometry = attributes.get('geometry')
        if geometry is not None:
            geometry = getattr(geometry, 'decode', lambda: geometry)()
            width, _, height = str(geometry).partition('x')
            self.size = self.faults.size(width, height)
        elif {'width', 'height'} <= set(attributes):
            self.size = self.faults.size(attributes['width'],
                                         attributes['height'])


class _Column:
    """A column of an HDF5 data set, read slice by slice."""

    def __init__(self, reader: HDF5Reader, data, name=None) -> None:
        self.reader, self.data, self.name = reader, data, name

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, item):
        try:
            found = self.data[item]
        except OSError as error:
            raise self.reader.faults.error(
                f'{self.data.name} cannot be read: {error}. A filter of HDF5 '
                'may be missing: "pip install hdf5plugin" has the common ones'
            ) from None
        return found if self.name is None else found[self.name]


def import_filters() -> None:
    """Make h5py know the filters of hdf5plugin, where that is installed."""
    try:
        importlib.import_module('hdf5plugin')
    except ModuleNotFoundError:
        pass
