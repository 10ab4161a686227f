"""Small recordings of every format, written byte by byte.

Each writer takes events and returns the file, and for each event the byte
where it ends (an array), where one can be told: what lies before a damaged
byte must then be read as it was.
"""

import io
import struct

import numpy as np

from mmsnn.datasets.events import make_events

SIZE = 64, 48


def some_events(n: int = 400) -> np.ndarray:
    """Events on a sensor of 64x48, in order of time."""
    rng = np.random.default_rng(0)
    return make_events(
        np.sort(rng.integers(1000, 60_000, n)), rng.integers(0, SIZE[0], n),
        rng.integers(0, SIZE[1], n), rng.integers(0, 2, n))


def _joined(header: bytes, pieces) -> tuple[bytes, np.ndarray]:
    """A header and a piece for each event."""
    pieces = list(pieces)
    ends = len(header) + np.cumsum([len(piece) for piece in pieces])
    return header + b''.join(pieces), ends


def _aedat_header(version: str, *lines: str) -> bytes:
    return ''.join(f'#{line}\r\n' for line in (
        f'!AER-DAT{version}', ' a comment', *lines)).encode()


def aedat1(events):
    return _joined(_aedat_header('1.0'), (
        struct.pack('>HI', (127 - y) << 8 | x << 1 | p, t)
        for t, x, y, p in events.tolist()))


def aedat2(events):
    return _joined(_aedat_header('2.0'), (
        struct.pack('>II', (127 - y) << 8 | x << 1 | p, t)
        for t, x, y, p in events.tolist()))


def aedat2_davis(events):
    header = _aedat_header('2.0', ' AEChip: eu.seebetter.Davis240C')
    return _joined(header, (
        struct.pack('>II', (179 - y) << 22 | x << 12 | p << 11, t)
        for t, x, y, p in events.tolist()))


def _aedat3(events, header: bytes, rows: int | None):
    pieces = []
    for first in range(0, len(events), 128):
        some = events[first:first + 128].tolist()
        head = struct.pack('<hhiiiiii', 1, 1, 8, 4, 0, *[len(some)] * 3)
        for t, x, y, p in some:
            y = y if rows is None else rows - 1 - y
            pieces.append(head + struct.pack(
                '<Ii', x << 17 | y << 2 | p << 1 | 1, t))
            head = b''
    return _joined(header, pieces)


def aedat3_0(events):
    return _aedat3(events, _aedat_header('3.0', 'Source 1: DVS128'), 128)


def aedat3_1(events):
    header = _aedat_header('3.1', 'Format: RAW', 'Source 1: DVS128',
                           '!END-HEADER')
    return _aedat3(events, header, None)


def evt2(events):
    pieces, high = [], None
    for t, x, y, p in events.tolist():
        piece = b'' if t >> 6 == high else struct.pack('<I', 8 << 28 | t >> 6)
        high = t >> 6
        pieces.append(piece + struct.pack(
            '<I', p << 28 | (t & 63) << 22 | x << 11 | y))
    return _joined(b'% evt 2.0\n% geometry 64x48\n% end\n', pieces)


def evt21(events):
    pieces, high = [], None
    for t, x, y, p in events.tolist():
        piece = b'' if t >> 6 == high else struct.pack('<Q', 8 << 60 | (
            t >> 6) << 32)
        high = t >> 6
        pieces.append(piece + struct.pack(
            '<Q', p << 60 | (t & 63) << 54 | (x & ~31) << 43 | y << 32 |
            1 << (x & 31)))
    return _joined(b'% format EVT21;height=48;width=64\n% end\n', pieces)


def evt3(events):
    pieces = []
    for t, x, y, p in events.tolist():
        words = 8 << 12 | t >> 12, 6 << 12 | t & 4095, y, (
            2 << 12 | p << 11 | x)
        pieces.append(struct.pack('<4H', *words))
    return _joined(b'% evt 3.0\n% geometry 64x48\n% end\n', pieces)


def dat(events):
    header = (b'% Data file containing CD events\n% Version 2\n% Height 48\n'
              b'% Width 64\n% end\n\x0c\x08')
    return _joined(header, (
        struct.pack('<II', t, x | y << 14 | p << 28)
        for t, x, y, p in events.tolist()))


def atis(events):
    return _joined(b'', (
        bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255])
        for t, x, y, p in events.tolist()))


def _packed(events):
    return events.astype([(key, events.dtype[key]) for key in 'txyp'])


def npy(events):
    # With zeros between the fields: what lay in memory differs by run.
    array = np.zeros(len(events), events.dtype)
    for key in 'txyp':
        array[key] = events[key]
    file = io.BytesIO()
    np.save(file, array)
    content = file.getvalue()
    begin = len(content) - events.nbytes
    return content, begin + events.itemsize * np.arange(1, len(events) + 1)


def npy_packed(events):
    return npy(_packed(events))


def _npz(save, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue(), None


def npz(events):
    return _npz(np.savez, **{key: events[key] for key in 'txyp'})


def npz_deflated(events):
    return _npz(np.savez_compressed, **{key: events[key] for key in 'txyp'})


def npz_structured(events):
    return _npz(np.savez, events=_packed(events))


def _hdf5(fill):
    import h5py
    file = io.BytesIO()
    with h5py.File(file, 'w') as root:
        fill(root)
    return file.getvalue(), None


def hdf5_prophesee(events):
    def fill(root):
        root['CD/events'] = _packed(events)
        root.attrs['geometry'] = '64x48'
    return _hdf5(fill)


def hdf5_dsec(events):
    def fill(root):
        for key in 'txyp':
            data = events[key] - 7 if key == 't' else events[key]
            root.create_dataset(f'events/{key}', data=data, chunks=(100, ),
                                compression='gzip', shuffle=True,
                                fletcher32=True)
        root['t_offset'] = 7
    return _hdf5(fill)


def hdf5_root(events):
    def fill(root):
        for key in 'txyp':
            root[key] = events[key]
    return _hdf5(fill)


def _flat(name: bytes, content: bytes) -> bytes:
    """A FlatBuffer with a size before it, of one vector or string."""
    return struct.pack('<I', len(content) + 24) + struct.pack(
        '<I4sHHHHiI', 16, name, 0, 6, 8, 4, 6, 4) + content


def _stored(content: bytes) -> bytes:
    """A frame of LZ4 with one block that is stored as it is."""
    from mmsnn.datasets.events.formats.compression import xxh32
    flags = b'\x64\x70'
    return b'\x04\x22\x4d\x18' + flags + bytes([
        xxh32(flags) >> 8 & 255]) + struct.pack(
            '<I', len(content) | 1 << 31) + content + bytes(4) + struct.pack(
                '<I', xxh32(content))


def _aedat4(events, compression: int):
    xml = (b'<dv version="2.0"><node name="outInfo"><node name="0">'
           b'<attr key="typeIdentifier">EVTS</attr><node name="info">'
           b'<attr key="sizeX">64</attr><attr key="sizeY">48</attr></node>'
           b'</node></node></dv>')
    press = _stored if compression else bytes
    raw = np.zeros(len(events), dict(
        names=list('txyp'), formats=['<i8', '<i2', '<i2', 'u1'],
        offsets=[0, 8, 10, 12], itemsize=16))
    for key in 'txyp':
        raw[key] = events[key]
    packets, ends = [], []
    header = 14 + 4 + 48 + len(xml)
    at = header
    for first in range(0, len(events), 100):
        some = raw[first:first + 100]
        data = press(_flat(b'EVTS', struct.pack('<I', len(some)) +
                           some.tobytes()))
        packets.append(struct.pack('<ii', 0, len(data)) + data)
        at += len(packets[-1])
        ends += [at] * len(some)
    vtable = struct.pack('<HHHHH2x', 10, 24, 4, 8, 16)
    table = struct.pack('<iiqI4x', 12, compression, at, 8)
    # The root is at 20, behind its vtable; its string follows it.
    body = struct.pack('<I4s', 20, b'IOHE') + vtable + table + struct.pack(
        '<I', len(xml)) + xml
    whole = b'#!AER-DAT4.0\r\n' + struct.pack('<I', len(body)) + body
    content = whole + b''.join(packets) + press(_flat(b'FTAB', bytes(4)))
    return content, np.array(ends)


#: Suffix and writer of each format.
WRITERS = dict(
    aedat1=('.aedat', aedat1),
    aedat2=('.aedat', aedat2),
    aedat2_davis=('.aedat', aedat2_davis),
    aedat3_0=('.aedat', aedat3_0),
    aedat3_1=('.aedat', aedat3_1),
    evt2=('.raw', evt2),
    evt21=('.raw', evt21),
    evt3=('.raw', evt3),
    dat=('.dat', dat),
    atis=('.bin', atis),
    npy=('.npy', npy),
    npy_packed=('.npy', npy_packed),
    npz=('.npz', npz),
    npz_deflated=('.npz', npz_deflated),
    npz_structured=('.npz', npz_structured),
    hdf5_prophesee=('.hdf5', hdf5_prophesee),
    hdf5_dsec=('.h5', hdf5_dsec),
    hdf5_root=('.h5', hdf5_root),
    aedat4=('.aedat4', lambda events: _aedat4(events, 0)),
    aedat4_lz4=('.aedat4', lambda events: _aedat4(events, 1)),
)


def faery_aedat4(kind: str):
    """AEDAT 4 as faery writes it, compressed by LZ4 or Zstandard."""
    def write(events):
        import tempfile
        from pathlib import Path

        import faery
        theirs = np.empty(len(events), faery.EVENTS_DTYPE)
        for ours, name in zip('txyp', ('t', 'x', 'y', 'on'), strict=True):
            theirs[name] = events[ours]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'a.aedat4'
            faery.events_stream_from_array(theirs, SIZE).to_file(
                path, compression=(kind, 1))
            return path.read_bytes(), None
    return write


try:
    import faery  # noqa: F401
    for _kind in ('lz4', 'zstd'):
        WRITERS[f'aedat4_faery_{_kind}'] = '.aedat4', faery_aedat4(_kind)
except ModuleNotFoundError:
    pass
