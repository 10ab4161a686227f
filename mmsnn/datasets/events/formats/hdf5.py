"""Events in HDF5 files, which a child process reads (:mod:`.hdf5_child`)."""

import atexit
import json
import mmap
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmsnn.datasets.events.faults import told

from .columns import NAMES, ColumnReader
from .reader import need

# Seconds after which a child that is still reading is given up. It has a
# limit of its own, in processor time.
_SECONDS = 60


class HDF5Reader(ColumnReader):
    """Reads ``CD/events`` (compound, as Prophesee's), or columns in
    ``events`` (as DSEC's, with its ``t_offset``) or in the root."""

    def _open(self) -> None:
        """Find the columns, the size of the sensor and the offset of times."""
        need('h5py', 'HDF5', self.faults)
        try:
            about = self._ask()[0]['about']
        except _Unreadable as error:
            raise self.faults.error(f'no whole HDF5 file: {error}') from None
        self.check_columns({
            key: (np.dtype(name) if kind in 'biuf' else np.dtype('O'), shape)
            for key, (name, kind, shape) in about['columns'].items()})
        self.offset = about['offset'] or 0
        attributes = about['attributes']
        if 'geometry' in attributes:
            width, _, height = str(attributes['geometry']).partition('x')
            self.size = self.faults.size(width, height)
        elif {'width', 'height'} <= set(attributes):
            self.size = self.faults.size(attributes['width'],
                                         attributes['height'])

    def _ask(self, **request) -> tuple[dict, list[np.ndarray]]:
        """Ask the child about this file."""
        found = self.path.stat()
        request.update(
            path=str(self.path.resolve()), names=NAMES, most=self.most,
            stamp=[found.st_mtime_ns, found.st_size, found.st_ino])
        try:
            answer, data = _child().ask(request)
        except _ChildEnded as ended:
            raise _Unreadable(str(ended)) from None
        if 'refused' in answer:
            raise self.faults.error(answer['refused'])
        if 'damaged' in answer:
            raise _Unreadable(told(ValueError(answer['damaged'])))
        return answer, data

    def rows(self, first: int, stop: int,
             keys: str = 'txyp') -> dict[str, np.ndarray]:
        """Let the child read a slice."""
        _, data = self._ask(rows=(first, stop, keys))
        return dict(zip(keys, data, strict=True))

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the events from ``start`` on, up to damage."""
        self.at = 0
        try:
            for first, events in super().chunks(start):
                self.at = first + len(events)
                yield first, events
        except _Unreadable as error:
            self.faults.found('cut off or damaged', f'{error}, from event '
                              f'{self.at} on')


class _Unreadable(Exception):
    """HDF5 can't read a part of the file; the message says why."""


class _ChildEnded(Exception):
    """The child died of a file, or was ended; the message says why."""


class _Child:
    """A process that reads HDF5, the pipes to it, and the memory in which it
    leaves columns: a file without a name that both map."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, sys.path))
        self.columns = (
            os.fdopen(os.memfd_create('columns'), 'r+b')
            if hasattr(os, 'memfd_create') else tempfile.TemporaryFile())
        self.mapped = None
        shared = self.columns.fileno()
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('hdf5_child.py')),
             str(shared)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, pass_fds=[shared],
            env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1',
                 'OPENBLAS_NUM_THREADS': '1', 'HDF5_USE_FILE_LOCKING':
                 'FALSE'})
        self.owner = os.getpid()
        self.lock = threading.Lock()

    def usable(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def ask(self, request: dict) -> tuple[dict, list[np.ndarray]]:
        with self.lock:
            try:
                # Not buffered: a process that is forked now must not have
                # a part of it to write once more.
                line = json.dumps(request).encode() + b'\n'
                while line:
                    line = line[os.write(self.process.stdin.fileno(), line):]
                ready, _, _ = select.select([self.process.stdout], [], [],
                                            _SECONDS)
                if not ready:
                    raise EOFError
                answer = json.loads(self.process.stdout.readline())
                return answer, self._copies(answer)
            # Whatever it was, what comes next on the pipes is unknown.
            except BaseException as error:
                self.end()
                if not isinstance(error, EOFError | OSError | ValueError):
                    raise
                raise _ChildEnded(
                    'HDF5 ended itself by reading it (status '
                    f'{self.process.returncode}), or read for too long'
                ) from None

    def _copies(self, answer: dict) -> list[np.ndarray]:
        """The columns of an answer: the memory is used again for the next."""
        size = os.fstat(self.columns.fileno()).st_size
        if size and (self.mapped is None or len(self.mapped) < size):
            self.mapped = mmap.mmap(self.columns.fileno(), size)
        return [
            np.frombuffer(self.mapped if answer['rows'] else b'', dtype,
                          answer['rows'], place).copy()
            for dtype, place in zip(answer.get('types', ()),
                                    answer.get('places', ()), strict=True)
        ]

    def end(self) -> None:
        """End the process, if it is this one's."""
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.columns.close()


_children: list[_Child] = []
_lock = threading.Lock()


def _child() -> _Child:
    """The child of this process; a forked one gets a child of its own."""
    with _lock:
        if not _children or not _children[0].usable():
            _end_children()
            _children.append(_Child())
        return _children[0]


def _end_children() -> None:
    while _children:
        try:
            _children.pop().end()
        except OSError:
            pass


def _after_fork() -> None:
    """In a forked process: let go of the parent's pipes."""
    global _lock
    _lock = threading.Lock()
    _end_children()


atexit.register(_end_children)
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_after_fork)
