"""Reads columns of HDF5 files for another process, as a program of its own.

HDF5's library can crash or loop on a damaged file, and then it must not take
the training with it. In: a request a line, JSON. Out: for each a line of
JSON; columns lie in a file that both map, whose descriptor is the program's
argument. See :mod:`.hdf5`, which asks.
"""

import importlib
import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Mapping

import numpy as np

#: Columns of the groups or the compound data sets that may hold events.
PLACES = ('CD/events', 'events')
# Seconds of processor time for a request, and memory beyond the program's.
_SECONDS, _MEMORY = 3, 1 << 28
# A larger block, of which HDF5 reads all at once, is refused.
_BLOCK = 1 << 26
# HDF5 keeps the last blocks up to so many bytes for each column: a larger one
# would be expanded anew for every slice of it.
_KEPT = 1 << 20
# Columns begin at multiples of so many bytes in the shared memory.
_ALIGNED = 16
# Links that lead to one another, as HDF5 itself follows.
_LINKS = 16


class _Refused(Exception):
    """A file that is not as it must be; the message says in what."""


class _File:
    """One HDF5 file.

    Args:
        path (str): The file.
        names (Mapping): Valid names of each column.
        most (int): Bytes that it may expand to.
        kept (int): Bytes of blocks to keep for each column. Defaults to
            :data:`_KEPT`.
    """

    def __init__(self, path: str, names: Mapping, most: int,
                 kept: int = _KEPT) -> None:
        self.bytes = os.path.getsize(path)
        self.most = most
        #: Bytes that all columns expand to, and of the largest block.
        self.expanded = self.block = 0
        import h5py
        self.h5py = h5py
        self.file = h5py.File(path, 'r', rdcc_nbytes=kept)
        found = ((place, self._follow(place)) for place in PLACES)
        self.where, group = next(
            ((place, group) for place, group in found if group is not None),
            (None, self.file))
        self.compound = None
        if isinstance(group, h5py.Dataset):
            self.compound = group
            self._check(group)
            self.found = self._find(names, group.dtype.names or ())
            self.columns = {key: (group.dtype[name], group.shape)
                            for key, name in self.found.items()}
        else:
            self.found = self._find(names, list(group))
            place = f'{self.where}/' if self.where else ''
            self.sets = {key: self._follow(place + name)
                         for key, name in self.found.items()}
            for key, data in self.sets.items():
                if data is None:
                    raise _Refused(f'{place}{self.found[key]} is a link to '
                                   'nothing')
                self._check(data)
            self.columns = {key: (data.dtype, data.shape)
                            for key, data in self.sets.items()}

    def _find(self, names: Mapping, there) -> dict[str, str]:
        found = {key: next((name for name in valid if name in there), None)
                 for key, valid in names.items()}
        lost = [key for key, name in found.items() if name is None]
        if lost:
            raise _Refused(
                f'{self.where or "its root"} has no {", ".join(lost)} among '
                f'{", ".join(list(there)[:20]) or "nothing"}; valid are ' +
                ', '.join(' or '.join(names[key]) for key in lost))
        return found

    def _follow(self, path: str):
        """What has a path, by links that stay in the file; None: nothing."""
        at, names, links = self.file, path.split('/'), 0
        while names:
            name = names.pop(0)
            if name in ('', '.'):  # as a soft link may have them
                continue
            link = isinstance(at, self.h5py.Group) and at.get(
                name, getlink=True)
            if not link:
                return None
            if isinstance(link, self.h5py.HardLink):
                at = at[name]
                continue
            links += 1
            if not isinstance(link, self.h5py.SoftLink):
                raise _Refused(f'{path} is a link to elsewhere, which is not '
                               'followed; copy the data to where it points')
            if links > _LINKS:
                raise _Refused(f'{path} is a link to a link, and so on more '
                               f'than {_LINKS} times')
            names = link.path.split('/') + names
            if link.path.startswith('/'):
                at = self.file
        return at

    def _check(self, data) -> None:
        """Refuse a data set that claims what the file can't have."""
        if not isinstance(data, self.h5py.Dataset):
            raise _Refused(f'{data.name} is no data set')
        name = data.name
        if data.external or data.is_virtual:
            raise _Refused(f'the data of {name} lie in other files, which is '
                          'not followed; copy them into this one')
        if data.shape is None:
            raise _Refused(f'{name} has no shape')
        size = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
        if size > self.most:
            raise _Refused(
                f'{name} claims {size:,} bytes, but the whole file has '
                f'{self.bytes:,}: it is damaged or a trap')
        if data.chunks:
            block = int(np.prod(data.chunks, dtype=object))
            block *= data.dtype.itemsize
            if block > max(_BLOCK, size):
                raise _Refused(f'{name} claims blocks of {block:,} bytes, for '
                              f'{size:,} bytes of data')
            blocks = int(np.prod([
                -(-side // by)
                for side, by in zip(data.shape, data.chunks, strict=True)
            ], dtype=object))
            if data.id.get_num_chunks() != blocks:
                raise _Refused(f'{name} has {data.id.get_num_chunks()} of its '
                              f'{blocks} blocks of data')
            self.block = max(self.block, block)
            size = blocks * block
        elif data.id.get_storage_size() != size:
            raise _Refused(f'{name} has {data.id.get_storage_size():,} of its '
                          f'{size:,} bytes of data')
        self.expanded += size
        if self.expanded > self.most:
            raise _Refused(
                f'its columns would take {self.expanded:,} bytes up to {name},'
                f' but the whole file has {self.bytes:,}: it is damaged or a '
                'trap')

    def about(self) -> dict:
        """What a reader must know before it asks for rows."""
        offset = None
        data = self._follow('t_offset')
        if data is not None:
            if not isinstance(data, self.h5py.Dataset) or (
                    data.shape not in ((), (1, ))
                    or data.dtype.kind not in 'iu'):
                raise _Refused('t_offset must be one whole number, us')
            self._check(data)
            offset = int(np.asarray(data[()]).reshape(-1)[0])
        attributes = {key: _plain(self.file.attrs[key])
                      for key in ('geometry', 'width', 'height')
                      if key in self.file.attrs}
        return dict(
            columns={key: (dtype.str if dtype.kind in 'biuf' else str(dtype),
                           dtype.kind, list(shape))
                     for key, (dtype, shape) in self.columns.items()},
            offset=offset, attributes=attributes)

    def types(self, keys: str) -> list[np.dtype]:
        """Of some columns."""
        return [self.columns[key][0] for key in keys]

    def read(self, first: int, stop: int, keys: str,
             into: list[np.ndarray]) -> None:
        """Read a slice of some columns.

        Args:
            first (int): The first row.
            stop (int): The row behind the last.
            keys (str): Keys of the columns.
            into (list[ndarray]): Where each goes, (stop - first,).
        """
        if self.compound is None:
            for key, there in zip(keys, into, strict=True):
                if len(there):
                    self.sets[key].read_direct(there, np.s_[first:stop])
            return
        names = [self.found[key] for key in keys]
        data = self.compound.fields(names)[first:stop]
        for name, there in zip(names, into, strict=True):
            there[:] = data[name]


def open_file(path: str, names: Mapping, most: int) -> _File:
    """Open a file so that it keeps as much as its largest block has.

    Args:
        path (str): The file.
        names (Mapping): Valid names of each column.
        most (int): Bytes that it may expand to.

    Returns:
        _File: The file, whose columns have been checked.
    """
    file = _File(path, names, most)
    if file.block > _KEPT:
        file.file.close()
        file = _File(path, names, most, file.block)
    return file


def _plain(value):
    """An attribute as JSON has it."""
    if isinstance(value, bytes):
        return value.decode('ascii', 'replace')
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.item() if isinstance(value, np.number) else str(value)


def _limit(size: int) -> None:
    """Bound the time and the memory of the next request."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + _SECONDS
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))
    if _limit.base is not None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS,
                           (_limit.base + _MEMORY + 4 * size, hard))


class _Shared:
    """Memory that the other process maps, too.

    Args:
        descriptor (int): Of the file that is mapped.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.mapped = None

    def rooms(self, count: int,
              types: list[np.dtype]) -> tuple[list[np.ndarray], list[int]]:
        """Room for columns, one behind the other.

        Args:
            count (int): Rows.
            types (list[dtype]): Of each column.

        Returns:
            tuple[list[ndarray], list[int]]: The rooms, (count,), and where
            each begins, in bytes.
        """
        places, total = [], 0
        for dtype in types:
            places.append(total)
            total += -(-count * dtype.itemsize // _ALIGNED) * _ALIGNED
        if total and (self.mapped is None or len(self.mapped) < total):
            os.ftruncate(self.descriptor, total)
            self.mapped = mmap.mmap(self.descriptor, total)
        return [
            np.frombuffer(self.mapped if count else b'', dtype, count, at)
            for dtype, at in zip(types, places, strict=True)
        ], places


def main() -> None:
    """Answer requests up to the end of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), 'wb')
    shared = _Shared(int(sys.argv[1]))
    os.dup2(2, 1)  # what libraries print must not get among the answers
    for module in ('h5py', 'hdf5plugin'):  # the latter knows more filters
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            pass
    try:
        with open('/proc/self/statm') as file:
            pages = int(file.read().split()[0])
        _limit.base = pages * resource.getpagesize()
    except OSError:  # not on Linux
        _limit.base = None
    file = key = None
    for line in requests:
        request = json.loads(line)
        try:
            _limit(os.path.getsize(request['path']))
            wanted = request['path'], request['stamp']
            # A file that is opened anew may be another one by now, and HDF5
            # would take what it knows of one that is still open.
            if key != wanted or 'rows' not in request:
                if file is not None:
                    file.file.close()
                file = key = None
                file = open_file(request['path'], request['names'],
                                 request['most'])
                key = wanted
            answer = {}
            if 'rows' in request:
                first, stop, keys = request['rows']
                types = file.types(keys)
                rooms, places = shared.rooms(stop - first, types)
                file.read(first, stop, keys, rooms)
                answer.update(places=places, rows=stop - first,
                              types=[dtype.str for dtype in types])
            else:
                answer['about'] = file.about()
        except _Refused as error:
            answer = dict(refused=str(error))
        # HDF5's errors are of many kinds.
        except Exception as error:  # noqa: BLE001
            # A KeyError would put quotes around its words.
            answer = dict(damaged=str(*error.args[:1]) or
                          type(error).__name__)
        # An attribute may be a number that JSON does not have.
        answers.write(json.dumps(answer, default=str).encode() + b'\n')
        answers.flush()


if __name__ == '__main__':
    main()
