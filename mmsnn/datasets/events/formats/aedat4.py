"""iniVation's AEDAT 4.0: packets of FlatBuffers, each compressed.

Written from the public description
(https://docs.inivation.com/software/software-advanced-usage/file-formats) and
FlatBuffers' (https://flatbuffers.dev/internals).
"""

import struct
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np

from mmsnn.datasets.events.array import EVENT
from mmsnn.datasets.events.faults import quoted, told

from .compression import CompressionError, lz4_frame, zstd_frame
from .reader import EventReader

_MAGIC = b'#!AER-DAT4.0\r\n'
# Bytes of a header at most.
_HEADER = 1 << 22
# How packets may be compressed: not, LZ4 (fast, high), Zstandard (likewise).
_EXPAND = (lambda data, most: data, lz4_frame, lz4_frame, zstd_frame,
           zstd_frame)
# An event: 16 bytes, of which the last 3 are padding.
_RAW = np.dtype(dict(names=['t', 'x', 'y', 'p'],
                     formats=['<i8', '<u2', '<u2', 'u1'],
                     offsets=[0, 8, 10, 12], itemsize=16))


class AEDAT4Reader(EventReader):
    """Reads the first stream of events, packet by packet."""

    def _open(self) -> None:
        """Read compression, streams and the place of the table."""
        with open(self.path, 'rb') as file:
            magic = file.read(len(_MAGIC))
            if magic != _MAGIC:
                raise self.faults.error(
                    'no AEDAT 4.0 recording: it must begin with '
                    f'{_MAGIC!r}, got {quoted(magic)}')
            size = int.from_bytes(file.read(4), 'little')
            data = file.read(min(size, _HEADER))
            self.data = file.tell()
        try:
            if len(data) < size:
                raise _Damaged(f'{len(data)} of {size} bytes are there, or '
                               f'more than {_HEADER}')
            header = _Table(data, b'IOHE')
            self.compression = header.number('<i', 0, 0)
            self.table = header.number('<q', 1, -1)
            start, count = header.vector(2)
            if not 0 <= self.compression < len(_EXPAND):
                raise _Damaged(f'compression {self.compression} is unknown')
            self._find_stream(data[start:start + count])
        except _Damaged as error:
            raise self.faults.error(
                f'its header cannot be read: {error}') from None

    def _find_stream(self, xml: bytes) -> None:
        """Take the first stream of events, and the size of its sensor."""
        # Without zeros, what is in two bytes a character is seen, too.
        if b'<!' in xml.replace(b'\0', b'').replace(b'<!--', b''):
            raise _Damaged('its XML declares entities')
        try:
            root = ElementTree.fromstring(xml)
        except (ElementTree.ParseError, LookupError, ValueError) as error:
            raise _Damaged(told(error)) from None
        parent = next((node for node in root.iter('node')
                       if node.get('name') == 'outInfo'), None)
        # One, not those in it: each would be searched to its depth.
        if parent is not None:
            nodes = parent.findall('node')
            self.tracks = {node.get('name') for node in nodes}
            for node in nodes:
                has = {attr.get('key'): (attr.text or '').strip()
                       for attr in node.iter('attr')}
                if has.get('typeIdentifier') != 'EVTS':
                    continue
                try:
                    self.track = int(node.get('name', ''))
                except ValueError:
                    raise _Damaged('the stream of events has no number'
                                   ) from None
                if {'sizeX', 'sizeY'} <= set(has):
                    self.size = self.faults.size(has['sizeX'], has['sizeY'])
                return
        raise self.faults.error('it has no stream of events')

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield all events, packet by packet."""
        first, self.expanded = 0, 0
        with open(self.path, 'rb') as file:
            try:
                end, wrong = self._end(file)
                file.seek(self.data)
                for data in self._packets(file, end):
                    events = self._events(data)
                    yield first, events
                    first += len(events)
                if wrong:
                    raise _Damaged(wrong)
            except (_Damaged, CompressionError) as error:
                self.faults.found('cut off or damaged',
                                  f'{error}, from event {first} on')

    def _end(self, file) -> tuple[int, str]:
        """Where packets end, and what is wrong with the table that is there,
        if one was written."""
        if self.table == -1:
            return self.bytes, ''
        if not self.data <= self.table < self.bytes:
            return self.bytes, (f'the table of packets at byte {self.table} '
                                'is not in the file')
        file.seek(self.table)
        try:
            data = self._expand(file.read(self.bytes - self.table))
            _Table(_prefixed(data), b'FTAB')
        except (_Damaged, CompressionError) as error:
            return self.table, f'the table of packets: {error}'
        return self.table, ''

    def _packets(self, file, end: int) -> Iterator[bytes]:
        """Packets of the stream, still compressed."""
        while (at := file.tell()) < end:
            head = file.read(8)
            track, size = struct.unpack('<ii', head) if len(
                head) == 8 else (0, -1)
            if not 0 <= size <= end - at - 8:
                raise _Damaged(f'the packet at byte {at} is not whole')
            if str(track) not in self.tracks:
                raise _Damaged(f'the packet at byte {at} is of stream '
                               f'{track}, which the header lacks')
            if track == self.track:
                yield file.read(size)
            else:
                file.seek(size, 1)

    def _expand(self, data: bytes) -> bytes:
        data = _EXPAND[self.compression](data, self.most - self.expanded)
        self.expanded += len(data)
        return data

    def _events(self, data: bytes) -> np.ndarray:
        data = _prefixed(self._expand(data))
        start, count = _Table(data, b'EVTS').vector(0, _RAW.itemsize)
        # Nothing follows the events, so a wrong number of them is seen.
        if len(data) - start - count * _RAW.itemsize >= _RAW.itemsize:
            raise _Damaged('a packet has more events than it claims')
        raw = np.frombuffer(data, _RAW, count, start)
        events = np.empty(count, EVENT)
        for key in 'txy':
            events[key] = raw[key]
        events['p'] = raw['p'] > 0
        return events


class _Damaged(Exception):
    """A part of a file is not as it must be."""


def _prefixed(data: bytes) -> bytes:
    """What follows a size, which says how much that is."""
    if len(data) < 4 or int.from_bytes(data[:4], 'little') != len(data) - 4:
        raise _Damaged('a packet has another size than it claims')
    return data[4:]


class _Table:
    """The root table of a FlatBuffer, with its fields by their numbers."""

    def __init__(self, data: bytes, name: bytes) -> None:
        self.data = data
        if data[4:8] != name:
            raise _Damaged(f'a packet is no {name.decode()}')
        self.at = self._read('<I', 0)
        self.fields = self.at - self._read('<i', self.at)

    def _read(self, kind: str, at: int) -> int:
        if not 0 <= at <= len(self.data) - struct.calcsize(kind):
            raise _Damaged('a place in a packet is outside of it')
        return struct.unpack_from(kind, self.data, at)[0]

    def _field(self, index: int) -> int | None:
        """Where a field is, None if it has its default."""
        if 4 + 2 * index >= self._read('<H', self.fields):
            return None
        offset = self._read('<H', self.fields + 4 + 2 * index)
        return self.at + offset if offset else None

    def number(self, kind: str, index: int, default: int) -> int:
        at = self._field(index)
        return default if at is None else self._read(kind, at)

    def vector(self, index: int, size: int = 1) -> tuple[int, int]:
        """Where the elements of a vector, or a string, begin; how many."""
        at = self._field(index)
        if at is None:
            return 0, 0
        at += self._read('<I', at)
        count = self._read('<I', at)
        if count * size > len(self.data) - at - 4:
            raise _Damaged('a vector in a packet is not whole')
        return at + 4, count
