"""iniVation's AEDAT 1.0, 2.0, 3.0 and 3.1.

Written from the public description
(https://docs.inivation.com/software/software-advanced-usage/file-formats).
"""

import re
import struct
from collections.abc import Iterator

import numpy as np

from mmsnn.datasets.events.array import EVENT
from mmsnn.datasets.events.faults import quoted

from .reader import CHUNK, EventReader, header_lines

# Width and height of a chip, by how its name begins, in lower case.
_SIZES = dict(
    dvs128=(128, 128),
    davis128=(128, 128),
    davis208=(208, 192),
    davis240=(240, 180),
    davis346=(346, 260),
    davis640=(640, 480))
_PACKET = struct.Struct('<hhiiiiii')
_POLARITY = 1


class AEDATReader(EventReader):
    """Finds the version and the chip in the header of an ``.aedat`` file."""

    bits = 32

    def _open(self) -> None:
        """Read version and chip from the header."""
        with open(self.path, 'rb') as file:
            lines = header_lines(
                file, b'#', (b'#!END-HEADER', ), self.faults, words=(6, 8))
            self.data = file.tell()
        version = re.fullmatch(r'!AER-DAT(\d\.\d)', lines[0] if lines else '')
        if lines and not version and not re.search('^!|AER|DAT', lines[0]):
            self.version = '1.0'  # by definition, where no line says
        elif version and version[1] in ('1.0', '2.0', '3.0', '3.1'):
            self.version = version[1]
        else:
            raise self.faults.error(
                'no AEDAT recording of version 1.0, 2.0, 3.0 or 3.1: it must '
                'begin with "#!AER-DAT" and the version, or with "#" for '
                f'1.0, got {quoted(lines[0] if lines else "no header")}')
        if self.version.startswith('3'):
            self.bits = None  # a packet counts them
        chips = [
            found[1] for found in map(
                re.compile(r'(?:AEChip|Source \d+): .*?(\w+)$').match, lines)
            if found
        ]
        self.chip = chips[0].lower() if chips else 'dvs128'
        for name, size in _SIZES.items():
            if self.chip.startswith(name):
                self.size = size
        if self.size is None and self.version != '3.1':
            raise self.faults.error(
                f'chip {quoted(chips[0])} is unknown, so the addresses are '
                f'too; '
                f'known are {", ".join(_SIZES)}')

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield all events, since no index says where a time begins."""
        first = 0
        with open(self.path, 'rb') as file:
            file.seek(self.data)
            decode = (
                self._packets if self.version.startswith('3') else self._pairs)
            for events in decode(file):
                yield first, events
                first += len(events)

    def _pairs(self, file) -> Iterator[np.ndarray]:
        """Decode versions 1 and 2, which are pairs of address and time."""
        word = '>u2' if self.version == '1.0' else '>u4'
        davis = self.chip.startswith('davis')
        for pairs in self.words(file, f'{word}, >u4'):
            address = pairs['f0'].astype('u4')
            # Leave out frames and inertia (bit 31), and signals from outside.
            pairs = pairs[address & (0x80000400 if davis else 0x80008000) == 0]
            address = pairs['f0'].astype('u4')
            other = address > 0xffff
            if not davis and other.any():
                self.faults.found(
                    'address of another chip',
                    f'{address[other][0]:#x}, which the chip {self.chip} '
                    'lacks; the header may have no "# AEChip: "',
                    int(other.sum()))
                pairs, address = pairs[~other], address[~other]
            events = np.empty(len(pairs), EVENT)
            events['t'] = pairs['f1']
            x, y, p = (12, 22, 11) if davis else (1, 8, 0)
            events['x'] = address >> x & (1023 if davis else 127)
            events['y'] = address >> y & (511 if davis else 127)
            events['p'] = address >> p & 1
            yield self._from_top(events)

    def _packets(self, file) -> Iterator[np.ndarray]:
        """Decode versions 3, which are packets of events of one kind."""
        while True:
            at = file.tell()
            header = file.read(_PACKET.size)
            if not header:
                return
            if len(header) < _PACKET.size:
                self.faults.found(
                    'cut off', f'{len(header)} of {_PACKET.size} bytes of a '
                    f"packet's header at byte {at}, where the file ends")
                return
            (kind, _, size, offset, overflow, capacity, number,
             _) = _PACKET.unpack(header)
            if min(kind, size - 1, overflow, number) < 0 or (
                    number > capacity) or (
                    kind == _POLARITY and (size, offset) != (8, 4)):
                raise self.faults.error(
                    f'damaged header of a packet at byte {at}: {number} of '
                    f'{capacity} events of kind {kind} and {size} bytes, with '
                    f'time at byte {offset} and {overflow} overflows')
            begin = at + _PACKET.size
            end = begin + capacity * size
            there = min(number * size, self.bytes - begin) // size
            if kind == _POLARITY:
                for first in range(0, there, CHUNK):
                    wanted = 8 * min(CHUNK, there - first)
                    data = file.read(wanted)
                    if len(data) < wanted:
                        raise self.faults.error(
                            'it was cut off while it was read, at byte '
                            f'{file.tell()}')
                    yield self._of_packet(data, overflow)
            if end > self.bytes:
                self.faults.found(
                    'cut off', f'{self.bytes - begin} of {end - begin} bytes '
                    f"of a packet's events at byte {begin}, where the file "
                    'ends')
                return
            if kind != _POLARITY or there < capacity:
                file.seek(end)

    def _of_packet(self, data: bytes, overflow: int) -> np.ndarray:
        # A time is signed: what is below 0 stays a fault.
        word, t = np.frombuffer(data, '<i4').reshape(-1, 2).T
        word = word.view('<u4')
        valid = word & 1 == 1
        word, t = word[valid], t[valid]
        events = np.empty(len(t), EVENT)
        events['t'] = t
        if overflow:
            events['t'] += overflow << 31
        events['x'] = word >> 17
        events['y'] = word >> 2 & 0x7fff
        events['p'] = word >> 1 & 1
        return self._from_top(events) if self.version == '3.0' else events

    def _from_top(self, events: np.ndarray) -> np.ndarray:
        """Count rows from the top; versions before 3.1 count from the bottom.

        A row outside the sensor wraps to one far outside, and stays a fault.
        """
        events['y'] = self.size[1] - 1 - events['y'].astype('i8')
        return events
