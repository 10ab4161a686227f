"""LZ4 and Zstandard, and AEDAT 4 of both."""

import struct
import tracemalloc

import numpy as np
import pytest

from mmsnn.datasets.events import EventFileError, Recording, read_events
from mmsnn.datasets.events.formats.compression import (
    CompressionError,
    lz4_block,
    lz4_frame,
    xxh32,
    zstd_frame,
)


def expanded(block, past, most):
    out = bytearray(past)
    lz4_block(block, out, 0, most)
    return bytes(out[len(past):])


@pytest.mark.parametrize('data, wanted', [
    # From the description of the format.
    (b'', 0x02cc5d05), (b'abc', 0x32d153ff),
    (b'Nobody inspects the spammish repetition', 0xe2293b2f)])
def test_xxh32(data, wanted, path_of):
    assert xxh32(data) == wanted


class TestBlock:

    @pytest.mark.parametrize('block, past, wanted', [
        # A token, 2 bytes as they are, 6 copied from 2 before, 5 bytes.
        ('22 6162 0200 50 3132333435', b'', b'abababab12345'),
        # 15 + 3 bytes as they are.
        ('f003' + '61' * 18, b'', b'a' * 18),
        # 4 + 15 + 255 + 1 bytes from 1 before, which lies before the block.
        ('0f 0100 ff01 10 62', b'xy', b'y' * 275 + b'b'),
    ])
    def test_whole(self, block, past, wanted, path_of):
        assert expanded(bytes.fromhex(block), past, 300) == wanted

    @pytest.mark.parametrize('block', [
        '', '22', '20 61', '12 61 02', '12 61 0200 00', '12 61 0000 00',
        'ff', 'f0ffff', '1f 61 0100', '1f 61 0100 ff', '10 61 01'])
    def test_damaged(self, block, path_of):
        with pytest.raises(CompressionError, match='damaged'):
            expanded(bytes.fromhex(block), b'', 300)

    def test_more_than_there_is_room_for(self, path_of):
        block = bytes.fromhex('22 6162 0200 50 3132333435')
        for most in range(13):
            with pytest.raises(CompressionError):
                expanded(block, b'', most)

    def test_both_ways_agree_on_anything(self, monkeypatch):
        from mmsnn.datasets.events import native
        if native.load() is None:
            pytest.skip('the kernels can not be built')
        rng = np.random.default_rng(0)
        blocks = [bytes(rng.choice([0, 1, 2, 16, 31, 33, 255], n).astype(
            'u1')) for n in rng.integers(1, 40, 2000)]

        def results():
            for block in blocks:
                try:
                    yield expanded(block, b'abcdef', 999)
                except CompressionError:
                    yield None

        ours = list(results())
        monkeypatch.setattr(native, 'load', lambda: None)
        assert list(results()) == ours
        assert 20 < sum(one is not None for one in ours) < 1900


class TestFrame:

    @staticmethod
    def frame(flags, size, *blocks, content=b''):
        head = bytes([flags, 0x40]) + size
        return b'\x04\x22\x4d\x18' + head + bytes([
            xxh32(head) >> 8 & 255]) + b''.join(blocks) + bytes(4) + (
                struct.pack('<I', xxh32(content)) if flags & 4 else b'')

    def test_checksums_and_sizes(self):
        block = bytes.fromhex('22 6162 0200 50 3132333435')
        content = b'abababab12345'
        one = struct.pack('<I', len(block)) + block
        summed = one + struct.pack('<I', xxh32(block))
        whole = self.frame(0x7c, struct.pack('<Q', 13), summed,
                           content=content)
        assert lz4_frame(whole, 13) == content
        assert lz4_frame(self.frame(0x60, b'', one), 99) == content
        # Blocks of their own, and those that copy from the one before.
        back = struct.pack('<I', 8) + bytes.fromhex('04 0d00 4031323334')
        linked = self.frame(0x40, b'', one, back)
        assert lz4_frame(linked, 99) == content + content[:8] + b'1234'
        with pytest.raises(CompressionError, match='block of LZ4'):
            lz4_frame(self.frame(0x60, b'', one, back), 99)
        with pytest.raises(CompressionError, match='claims 13 bytes'):
            lz4_frame(whole, 12)
        for i in range(len(whole)):
            broken = bytearray(whole)
            broken[i] ^= 4
            for bad in (bytes(broken), whole[:i], whole + b'a'):
                with pytest.raises(CompressionError):
                    lz4_frame(bad, 1000)


def test_zstd():
    # A frame of one block that repeats a byte 1,000 times.
    frame = b'\x28\xb5\x2f\xfd' + bytes([0x60]) + struct.pack(
        '<H', 1000 - 256) + struct.pack('<I', 1000 << 3 | 1 << 1 | 1)[:3]
    assert zstd_frame(frame + b'a', 1000) == b'a' * 1000
    with pytest.raises(CompressionError, match='claims too much'):
        zstd_frame(frame + b'a', 999)
    with pytest.raises(CompressionError):
        zstd_frame(frame, 1000)
    with pytest.raises(CompressionError, match='no frame of Zstandard'):
        zstd_frame(b'abcdef', 1000)


def test_zstd_of_unknown_size():
    # Blocks that repeat a byte 128 Ki times; the header has a window alone.
    def frame(blocks, size=1 << 17):
        return b'\x28\xb5\x2f\xfd\x00\x58' + b''.join(
            (size << 3 | 2 | (i == blocks - 1)).to_bytes(3, 'little') + b'a'
            for i in range(blocks))

    assert zstd_frame(frame(9), 9 << 17) == b'a' * (9 << 17)
    assert zstd_frame(frame(1, 0), 0) == b''
    with pytest.raises(CompressionError, match='more than 1,179,647 bytes'):
        zstd_frame(frame(9), (9 << 17) - 1)
    # A small one does not take the room that a large one may have.
    tracemalloc.start()
    try:
        assert zstd_frame(frame(1, 5), 1 << 27) == b'aaaaa'
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('compression', [None, ('lz4', 1), ('lz4', 9),
                                         ('zstd', 3)])
def test_what_faery_writes(compression, tmp_path, random_events, path_of):
    faery = pytest.importorskip(
        'faery', reason='faery writes AEDAT 4 (the extra "dev")')
    path = tmp_path / 'a.aedat4'
    events = np.empty(len(random_events), faery.EVENTS_DTYPE)
    for ours, theirs in zip('txyp', ('t', 'x', 'y', 'on'), strict=True):
        events[theirs] = random_events[ours]
    stream = faery.events_stream_from_array(events, (20, 16))
    stream.to_file(path, compression=compression)
    assert read_events(path).tolist() == random_events.tolist()
    assert Recording(path).size == (20, 16)
    whole = path.read_bytes()
    path.write_bytes(whole[:-900])
    with pytest.raises(EventFileError, match='cut off or damaged'):
        read_events(path)
    left = read_events(path, on_error='skip')
    assert left.tolist() == random_events[:len(left)].tolist()
