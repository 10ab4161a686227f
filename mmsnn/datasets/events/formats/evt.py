"""Prophesee's raw formats EVT 2.0, EVT 2.1 and EVT 3.0.

Written from the public description of the encodings
(https://docs.prophesee.ai/stable/data/encoding_formats). docs/events.md says
why no library reads them here.
"""

from collections.abc import Iterator

import numpy as np

from mmsnn.datasets.events.array import EVENT
from mmsnn.datasets.events.faults import LARGEST, quoted

from .reader import EventReader, header_fields, header_lines

_BEFORE = 'event before the first time base'


class EVTReader(EventReader):
    """Finds encoding and sensor size in the header of a ``.raw`` file."""

    def _open(self) -> None:
        """Read encoding and sensor from the header."""
        with open(self.path, 'rb') as file:
            lines = header_lines(file, b'%', (b'% end', ), self.faults)
            self.data = file.tell()
        fields = header_fields(lines)
        name, *options = fields.get('format', '').split(';')
        options = dict(o.split('=', 1) for o in options if '=' in o)
        version = fields.get('evt', '') or name.upper().removeprefix('EVT')
        decoders = {'2.0': self._evt2, '2': self._evt2, '2.1': self._evt21,
                    '21': self._evt21, '3.0': self._evt3, '3': self._evt3}
        if version not in decoders:
            raise self.faults.error(
                'no EVT recording: the header must have a line "% evt" or '
                '"% format" with version 2.0, 2.1 or 3.0, got '
                f'{quoted(version or "none")} in {len(lines)} lines of header')
        self.decode = decoders[version]
        self.bits = None if version.startswith('3') else 34
        # Words of 64 bits whose upper half comes first.
        self.legacy = options.get('endianness') == 'legacy'
        if 'geometry' in fields:
            width, _, height = fields['geometry'].partition('x')
            self.size = self.faults.size(width, height)
        elif {'width', 'height'} <= set(options):
            self.size = self.faults.size(
                options['width'], options['height'])

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield all events, since a time depends on the words before it."""
        first = 0
        with open(self.path, 'rb') as file:
            file.seek(self.data)
            for events in self.decode(file):
                yield first, events
                first += len(events)

    def _with_base(self, words, kinds, high):
        """Positions of the events of EVT 2, their time bases, and the last.

        A word of kind 8 has the upper 28 bits of the time of all events up to
        the next such word; ``high`` is the one before, -1 where none was.
        """
        at = np.flatnonzero(kinds < 2)
        bases = np.flatnonzero(kinds == 8)
        highs = np.append(high, words[bases] & 0x0fffffff).astype('i8')
        lengths = np.diff(np.searchsorted(at, bases), prepend=0,
                          append=len(at))
        return at, np.repeat(highs << 6, lengths), highs[-1]

    def _evt2(self, file) -> Iterator[np.ndarray]:
        high = -1
        for words in self.words(file, '<u4'):
            at, base, high = self._with_base(words, words >> 28, high)
            words = words[at]
            events = np.empty(len(at), EVENT)
            events['t'] = base | (words >> 22 & 63)
            events['x'] = words >> 11 & 2047
            events['y'] = words & 2047
            events['p'] = words >> 28
            yield self._known(events, base)

    def _evt21(self, file) -> Iterator[np.ndarray]:
        high = -1
        for words in self.words(file, '<u8'):
            if self.legacy:
                words = words << np.uint64(32) | words >> np.uint64(32)
            upper = (words >> np.uint64(32)).astype('u4')
            at, base, high = self._with_base(upper, upper >> 28, high)
            # A bit for each of 32 pixels side by side.
            upper, mask = upper[at], words[at].astype('<u4')
            word, pixel = _set_bits(mask)
            upper, base = upper[word], base[word]
            events = np.empty(len(word), EVENT)
            events['t'] = base | (upper >> 22 & 63)
            events['x'] = (upper >> 11 & 2047) + pixel
            events['y'] = upper & 2047
            events['p'] = upper >> 28
            yield self._known(events, base)

    def _evt3(self, file) -> Iterator[np.ndarray]:
        state = _EVT3State()
        for words in self.words(file, '<u2'):
            events, base = state.decode(words)
            yield self._known(events, base)

    def _known(self, events: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Leave out what came before the recording's first time base."""
        if len(base) and base[0] < 0:
            known = base >= 0
            self.faults.note(_BEFORE, len(base) - int(known.sum()))
            events = events[known]
        return events


class _EVT3State:
    """State of the decoder of EVT 3.0, which words set for those that follow.

    A word has its kind in the upper 4 bits: 0 row, 2 one event, 3 column and
    polarity of a vector, 4 and 5 vectors of 12 and 8 pixels, 6 and 8 lower
    and upper 12 bits of the time.
    """

    def __init__(self) -> None:
        self.row = 0
        self.vector = 0  # polarity in bit 11, column in bits 0 to 10
        self.column = 0  # how far vectors have moved on from that column
        self.high = -1  # upper bits of the time, wraps counted on
        self.low = 0

    def decode(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decode a chunk: events, and their time bases, < 0 where unknown."""
        kind, value = words >> 12, (words & 4095).astype('i8')
        index = np.arange(len(words))
        high, changed = self._highs(kind, value)
        # The lower bits begin at 0 again where the upper ones change.
        low = np.where(kind == 6, value, 0)
        latest = _latest(index, (kind == 6) | changed)
        low = np.where(latest < 0, self.low, low[latest])
        row_at = _latest(index, kind == 0)
        row = np.where(row_at < 0, self.row, value[row_at] & 2047)
        base_at = _latest(index, kind == 3)
        vector = np.where(base_at < 0, self.vector, value[base_at])
        width = np.where(kind == 4, 12, np.where(kind == 5, 8, 0))
        passed = np.cumsum(width) - width  # before each word
        column = np.where(base_at < 0, self.column + passed,
                          passed - passed[base_at])
        single = np.flatnonzero(kind == 2)
        many = np.flatnonzero(width)
        mask = value[many] & (1 << width[many]) - 1
        word, pixel = _set_bits(mask.astype('<u2'))
        word = many[word]
        at = np.concatenate([single, word])
        order = np.argsort(at, kind='stable')
        at = at[order]
        events = np.empty(len(at), EVENT)
        base = high[at] << 12
        events['t'] = base + low[at]
        # Vectors without a new column may run far out of each sensor.
        events['x'] = np.minimum(np.concatenate([
            value[single] & 2047, (vector[word] & 2047) + column[word] + pixel
        ]), LARGEST)[order]
        events['y'] = row[at]
        events['p'] = np.concatenate([value[single],
                                      vector[word]])[order] >> 11
        if len(words):
            self.row, self.vector = row[-1], vector[-1]
            self.column = column[-1] + width[-1]
            self.high, self.low = high[-1], low[-1]
        return events, base

    def _highs(self, kind, value) -> tuple[np.ndarray, np.ndarray]:
        """Upper bits of the time at each word, and where they change."""
        at = np.flatnonzero(kind == 8)
        steps = np.empty(len(at), 'i8')
        changed = np.zeros(len(kind), bool)
        before = self.high
        for i, new in enumerate(value[at].tolist()):
            if before < 0:
                before = new
                changed[at[i]] = True
            else:
                # 0 follows 4095; any other fall is kept, and found as a fault.
                step = (new - before + 2048) % 4096 - 2048
                if step:
                    changed[at[i]] = True
                before += step
            steps[i] = before
        lengths = np.diff(at, prepend=0, append=len(kind))
        return np.repeat(np.append(self.high, steps), lengths), changed


def _latest(index: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Index of the latest chosen word up to each word, -1 before the first."""
    return np.maximum.accumulate(np.where(chosen, index, -1))


def _set_bits(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which bits are set: indices of masks, numbers of bits, both rising."""
    bits = masks.view('u1').reshape(len(masks), masks.itemsize)
    return np.nonzero(np.unpackbits(bits, axis=1, bitorder='little'))
