"""Prophesee's DAT format, both versions."""

import operator
import os
from collections.abc import Iterator

import numpy as np

from mmsnn.datasets.events.array import EVENT
from mmsnn.datasets.events.faults import quoted

from .reader import (
    CHUNK,
    EventReader,
    first_at,
    header_fields,
    header_lines,
    read_elements,
)

# So many times are looked at to see whether the clock wraps, which it does
# once in 71 minutes.
_SAMPLES = 64
# Kinds of event that are changes of brightness: "2D" and "CD".
_KINDS = (0, 12)
# An event: its time, and a word with its place and polarity.
_EVENT = np.dtype('<u4, <u4')


class DATReader(EventReader):
    """Reads 8 bytes an event; jumps to a time by bisection."""

    bits = 32

    def _open(self) -> None:
        """Read version and sensor from the header."""
        with open(self.path, 'rb') as file:
            lines = header_lines(file, b'%', (b'% end', ), self.faults)
            kind = file.read(2)
            self.data = file.tell()
        if not lines or len(kind) < 2:
            raise self.faults.error(
                'no DAT recording: it must begin with lines of "%", then a '
                'byte for the kind and one for the size of an event')
        if kind[0] not in _KINDS or kind[1] != 8:
            raise self.faults.error(
                f'events of kind {kind[0]} and {kind[1]} bytes at byte '
                f'{self.data - 2}; valid are kinds 0 (2D) and 12 (CD) of 8 '
                'bytes')
        fields = header_fields([line.lower() for line in lines])
        self.stated = 'version' in fields
        version = fields.get('version', '1')
        if version not in ('1', '2'):
            raise self.faults.error(
                f'DAT version {quoted(version)}; valid are 1, 2')
        # Bits of column and row in a word.
        self.x_bits, self.y_bits = (9, 8) if version == '1' else (14, 14)
        if {'width', 'height'} <= set(fields):
            self.size = self.faults.size(fields['width'], fields['height'])

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the events from ``start`` on, unless times fall somewhere."""
        count, rest = divmod(self.bytes - self.data, 8)
        x_bits, y_bits = self.x_bits, self.y_bits
        for first in range(self._begin(count, start), count, CHUNK):
            found = read_elements(self.path, _EVENT, self.data, first,
                                  min(first + CHUNK, count), self.faults)
            t, word = found['f0'], found['f1']
            if not self.stated and (word >> 18).any():
                i = int((word >> 18).argmax())
                raise self.faults.error(
                    f'event {first + i} is none of version 1, which a header '
                    'without the line "% Version" has; it may be damaged')
            events = np.empty(len(t), EVENT)
            events['t'] = t
            events['x'] = word & (1 << x_bits) - 1
            events['y'] = word >> x_bits & (1 << y_bits) - 1
            events['p'] = word >> x_bits + y_bits & 1
            yield first, events
        if rest:
            self.faults.found(
                'cut off', f'{rest} of 8 bytes of an event at byte '
                f'{self.data + 8 * count}, where the file ends')

    def _begin(self, count: int, start: int | None) -> int:
        """Index of the event to begin with: the first where times fall."""
        if start is None:
            return 0
        with open(self.path, 'rb') as file:

            def time(i: int) -> int:
                return int.from_bytes(
                    os.pread(file.fileno(), 4, self.data + 8 * i), 'little')

            some = [time(i)
                    for i in range(0, count, -(-count // _SAMPLES) or 1)]
            if any(map(operator.gt, some, some[1:])):
                return 0
            return first_at(time, count, start)
