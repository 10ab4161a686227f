"""Storages of a checkpoint are as large as what is in its zip file.

PyTorch before 2.10 believes the number of elements that the pickle gives a
storage, so that a file could have memory behind its own read and written.
"""

import operator
import struct
from typing import IO, Any

import torch
from torch import serialization

_END = struct.Struct('<4s4H2LH')
_LOCATOR = struct.Struct('<4sLQL')
_END_64 = struct.Struct('<4sQ2H2L4Q')
_ENTRY = struct.Struct('<4s6H3L5H2L')
_IN_EXTRA = 0xFFFFFFFF


def record_sizes(file: IO[bytes]) -> dict[bytes, int]:
    """Sizes of the records of a zip file, from where the file stands on.

    Read as PyTorch's reader does, so that both find the same.

    Args:
        file (IO): The file. It stands there afterwards, too.

    Returns:
        dict[bytes, int]: Sizes by name without the first folder, in lower
        case as PyTorch's reader does not tell these apart; the smallest one
        where a name is there again.

    Raises:
        ValueError: It is no such file.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> torch.save(torch.ones(2), file)
        >>> _ = file.seek(0)
        >>> record_sizes(file)[b'data/0']
        8
    """
    start = file.tell()
    try:
        return _sizes(file, start)
    except struct.error as error:
        raise ValueError('its list of records is cut off') from error
    finally:
        file.seek(start)


def _read(file: IO[bytes], layout: struct.Struct, place: int) -> tuple:
    file.seek(place)
    return layout.unpack(file.read(layout.size))


def _sizes(file: IO[bytes], start: int) -> dict[bytes, int]:
    end = file.seek(0, 2) - _END.size
    kind, _, _, _, count, size, place, _ = _read(file, _END, max(end, start))
    if kind != b'PK\5\6':
        raise ValueError('its list of records is not at its end')
    locator = end - _LOCATOR.size
    if locator >= start:
        kind, _, place_64, _ = _read(file, _LOCATOR, locator)
        if kind == b'PK\6\7':
            kind, *_, count_64, size_64, listed = _read(
                file, _END_64, start + place_64)
            if kind == b'PK\6\6':
                count, size, place = count_64, size_64, listed
    file.seek(start + place)
    listing, at, sizes = file.read(min(size, end)), 0, {}
    for _ in range(count):
        entry = _ENTRY.unpack_from(listing, at)
        kept, (long, extra, comment) = entry[9], entry[10:13]
        at += _ENTRY.size + long
        name = listing[at - long:at].partition(b'/')[2].lower()
        if entry[4] and name.startswith((b'data.pkl', b'data/')):
            raise ValueError('it is compressed, which PyTorch does not do, '
                             'and could expand without end')
        if _IN_EXTRA in (*entry[8:10], entry[16]):
            kept = _long_size(listing[at:at + extra], kept)
        sizes[name] = min(kept, sizes.get(name, kept))
        at += extra + comment
    return sizes


def _long_size(extra: bytes, size: int) -> int:
    """The size of an entry that may be in its extra field."""
    while size == _IN_EXTRA and len(extra) >= 4:
        kind, long = struct.unpack_from('<2H', extra)
        if kind == 1:
            return struct.unpack_from('<Q', extra, 4)[0]
        extra = extra[4 + long:]
    return size


class _Records(torch._C.PyTorchFileReader):
    """PyTorch's reader, which gives no storage more than its record has."""

    def __init__(self, file: IO[bytes]) -> None:
        self._sizes = record_sizes(file)
        super().__init__(file)

    def get_storage_from_record(self, name: str, numel: int,
                                kind: Any) -> torch.Tensor:
        claimed = operator.index(numel)
        size = self._sizes.get(name.lower().encode(), -1)
        if not 0 <= claimed <= size:
            raise ValueError(f'{name} is said to have {claimed} bytes and '
                             f'has {max(size, 0)}')
        return super().get_storage_from_record(name, claimed, kind)


class CheckedReader(serialization._open_zipfile_reader):
    """In the place of PyTorch's, while an untrusted file is read.

    Args:
        file (IO): The file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file_like = _Records(file)
