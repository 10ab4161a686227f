"""Blocks of LZ4 and Zstandard, expanded up to a stated size.

LZ4 is decoded here, in C or, without a compiler, in Python; Zstandard by its
own library, libzstd.
"""

import ctypes
import ctypes.util
import functools
import struct

import numpy as np

from mmsnn.datasets.events import native

_LZ4 = b'\x04\x22\x4d\x18'
_ZSTD = b'\x28\xb5\x2f\xfd'
# Bytes that a frame of unknown size is expected to expand to, at first.
_FIRST_ROOM = 1 << 16
_MASK = (1 << 32) - 1
_PRIMES = 2654435761, 2246822519, 3266489917, 668265263, 374761393


class CompressionError(ValueError):
    """Compressed data are damaged, or no library can expand them."""


def lz4_frame(data: bytes, most: int) -> bytes:
    """Expand one frame of LZ4; all checksums that it has are compared.

    Args:
        data (bytes): The frame, which fills them.
        most (int): Bytes that it may expand to.

    Returns:
        bytes: The content.

    Raises:
        CompressionError: It is damaged, or expands to more.

    Example:
        A frame of one block that is stored as it is:

        >>> lz4_frame(bytes.fromhex('04224d18 604082 03000080') + b'abc' +
        ...           bytes(4), 9)
        b'abc'
    """
    try:
        return _lz4_frame(data, most)
    except (struct.error, IndexError):
        raise CompressionError('a frame of LZ4 is cut off') from None


def _lz4_frame(data: bytes, most: int) -> bytes:
    flags, sizes = data[4], data[5]
    if data[:4] != _LZ4 or flags >> 6 != 1 or flags & 3:
        raise CompressionError('no frame of LZ4, or one with a dictionary')
    at = 6
    claimed = None
    if flags & 8:
        claimed, = struct.unpack_from('<Q', data, at)
        at += 8
    if xxh32(data[4:at]) >> 8 & 255 != data[at]:
        raise CompressionError('the header of a frame of LZ4 has another '
                               'checksum')
    at += 1
    block_most = 1 << 8 + 2 * (sizes >> 4 & 7)
    if claimed is not None and claimed > most:
        raise CompressionError(f'it claims {claimed:,} bytes')
    out = bytearray()
    while True:
        size, = struct.unpack_from('<I', data, at)
        at += 4
        if not size:
            break
        stored, size = size >> 31, size & _MASK >> 1
        block = data[at:at + size]
        at += size
        if len(block) < size:
            raise CompressionError('a frame of LZ4 is cut off')
        if flags & 16:
            _compare(block, data, at)
            at += 4
        if stored:
            out += block
        else:
            # A block may copy what those before it have, or only its own.
            lz4_block(block, out, len(out) if flags & 32 else 0,
                      min(block_most, most - len(out)))
        if len(out) > most:
            raise CompressionError(f'it has more than {most:,} bytes')
    if flags & 4:
        _compare(out, data, at)
        at += 4
    if at != len(data) or claimed not in (None, len(out)):
        raise CompressionError('a frame of LZ4 has another length than it '
                               'claims')
    return bytes(out)


def _compare(content: bytes, data: bytes, at: int) -> None:
    wanted, = struct.unpack_from('<I', data, at)
    if xxh32(content) != wanted:
        raise CompressionError('a frame of LZ4 has another checksum')


def lz4_block(block: bytes, out: bytearray, base: int, most: int) -> None:
    """Expand one block of LZ4.

    Args:
        block (bytes): The block.
        out (bytearray): What was expanded before; its content is added.
        base (int): Where that begins of which the block may copy.
        most (int): Bytes that it may expand to.

    Raises:
        CompressionError: It is damaged, or expands to more.

    Example:
        2 bytes as they are, then 6 bytes copied from 2 before, then 5 bytes:

        >>> out = bytearray()
        >>> lz4_block(bytes.fromhex('22 6162 0200 50 3132333435'), out, 0, 99)
        >>> out
        bytearray(b'abababab12345')
    """
    past = len(out)
    library = native.load()
    if library is None:
        try:
            _expand(block, out, base, past + most)
        except IndexError:
            raise CompressionError('a block of LZ4 is damaged') from None
        return
    # A byte makes at most 255.
    out += bytes(min(most, 255 * len(block)))
    at = np.frombuffer(out, 'u1').ctypes.data
    size = library.lz4_block(block, len(block), at + base, past - base,
                             len(out) - base)
    if size < 0:
        raise CompressionError('a block of LZ4 is damaged')
    del out[base + size:]


def _expand(block: bytes, out: bytearray, base: int, most: int) -> None:
    """The definition of ``lz4_block`` in events.c."""

    def length(nibble: int) -> int:
        nonlocal at
        if nibble == 15:
            while True:
                nibble += block[at]
                at += 1
                if block[at - 1] != 255:
                    break
        return nibble

    at = 0
    while True:
        token = block[at]
        at += 1
        literals = length(token >> 4)
        if literals > len(block) - at or literals > most - len(out):
            raise IndexError
        out += block[at:at + literals]
        at += literals
        if at == len(block):
            return
        back = block[at] | block[at + 1] << 8
        at += 2
        copied = length(token & 15) + 4
        if not 0 < back <= len(out) - base or copied > most - len(out):
            raise IndexError
        piece = out[len(out) - back:]
        out += (piece * (copied // back + 1))[:copied]


def xxh32(data: bytes) -> int:
    """The checksum xxHash32 with seed 0, as LZ4's frames have it.

    Args:
        data (bytes): Anything.

    Returns:
        int: 32 bits.

    Example:
        >>> hex(xxh32(b''))
        '0x2cc5d05'
    """
    data = bytes(data)
    library = native.load()
    if library is not None:
        return library.xxh32(data, len(data))
    one, two, three, four, five = _PRIMES
    at = len(data) & ~15
    if at:
        lanes = [one + two & _MASK, two, 0, -one & _MASK]
        for row in np.frombuffer(data[:at], '<u4').reshape(-1, 4).tolist():
            lanes = [_turn(lane + word * two, 13) * one & _MASK
                     for lane, word in zip(lanes, row, strict=True)]
        found = sum(map(_turn, lanes, (1, 7, 12, 18)))
    else:
        found = five
    found += len(data)
    while at + 4 <= len(data):
        word, = struct.unpack_from('<I', data, at)
        found = _turn(found + word * three, 17) * four
        at += 4
    for byte in data[at:]:
        found = _turn(found + byte * five, 11) * one
    found = (found ^ (found & _MASK) >> 15) * two & _MASK
    found = (found ^ found >> 13) * three & _MASK
    return found ^ found >> 16


def _turn(value: int, bits: int) -> int:
    value &= _MASK
    return (value << bits | value >> 32 - bits) & _MASK


def zstd_frame(data: bytes, most: int) -> bytes:
    """Expand frames of Zstandard.

    Args:
        data (bytes): The frames, which fill them.
        most (int): Bytes that they may expand to.

    Returns:
        bytes: The content.

    Raises:
        CompressionError: They are damaged, or expand to more, or libzstd is
            not installed.
    """
    if data[:4] != _ZSTD:
        raise CompressionError('no frame of Zstandard')
    library = _libzstd()
    size = library.ZSTD_getFrameContentSize(data, len(data))
    unknown, wrong = (1 << 64) - 1, (1 << 64) - 2
    if size == wrong or size != unknown and size > most:
        raise CompressionError('the header of a frame of Zstandard is '
                               'damaged, or claims too much')
    # A writer that did not know the size leaves it out: then it is tried, so
    # that many small frames don't each take what a large one may.
    room = min(most, _FIRST_ROOM) if size == unknown else size
    while True:
        out = np.empty(room, 'u1')
        found = library.ZSTD_decompress(out.ctypes.data, room, data,
                                        len(data))
        if not library.ZSTD_isError(found):
            return out[:found].tobytes()
        if room in (size, most):
            raise CompressionError(
                f'a frame of Zstandard is damaged, or has more than {room:,} '
                f'bytes ({library.ZSTD_getErrorName(found).decode()})')
        room = min(most, 8 * room)


@functools.cache
def _libzstd() -> ctypes.CDLL:
    for name in ('libzstd.so.1', ctypes.util.find_library('zstd')):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is not None:
            break
    else:
        raise CompressionError(
            "it is compressed with Zstandard, whose library libzstd isn't "
            'installed; on Debian: apt-get install libzstd1')
    size, text = ctypes.c_size_t, ctypes.c_char_p
    for name, result, *arguments in (
            ('ZSTD_getFrameContentSize', ctypes.c_uint64, text, size),
            ('ZSTD_decompress', size, ctypes.c_void_p, size, text, size),
            ('ZSTD_isError', ctypes.c_uint, size),
            ('ZSTD_getErrorName', text, size)):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
