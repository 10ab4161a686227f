"""Recordings written byte by byte."""

import os
import shutil
import struct

import numpy as np
import pytest

from mmsnn.datasets.events import native


@pytest.fixture(params=['native', 'plain'])
def path_of(request, monkeypatch):
    """Both ways to compute: compiled kernels, NumPy."""
    if request.param == 'plain':
        monkeypatch.setattr(native, 'load', lambda: None)
    elif not os.environ.get('CC') and not any(
            map(shutil.which, ('cc', 'gcc', 'clang'))):
        pytest.skip('no C compiler: the kernels can not be built')
    elif os.environ.get('MMSNN_NATIVE', '1') == '0':
        pytest.skip('MMSNN_NATIVE=0 switches the kernels off')
    else:
        assert native.load(), 'see python -m mmsnn.datasets.events.native'
    return request.param


class Evt2:
    """Words of EVT 2.0."""
    header = b'% evt 2.0\n% geometry 64x48\n% end\n'

    @staticmethod
    def high(t):
        return struct.pack('<I', 8 << 28 | t >> 6)

    @staticmethod
    def event(t, x, y, p):
        return struct.pack('<I', p << 28 | (t & 63) << 22 | x << 11 | y)


class Evt21:
    """Words of EVT 2.1: up to 32 pixels side by side."""
    header = b'% format EVT21;height=48;width=64\n% end\n'

    @staticmethod
    def high(t):
        return struct.pack('<Q', 8 << 60 | t >> 6 << 32)

    @staticmethod
    def events(t, x, y, p, mask):
        return struct.pack(
            '<Q', p << 60 | (t & 63) << 54 | x << 43 | y << 32 | mask)


class Evt3:
    """Words of EVT 3.0."""
    header = b'% evt 3.0\n% geometry 64x48\n% end\n'

    @staticmethod
    def words(*words):
        return struct.pack(f'<{len(words)}H',
                           *(kind << 12 | value for kind, value in words))


class Dat:
    """Events of DAT version 2."""
    header = (b'% Data file containing CD events\n% Version 2\n% Height 48\n'
              b'% Width 64\n% end\n\x0c\x08')

    @staticmethod
    def event(t, x, y, p):
        return struct.pack('<II', t, x | y << 14 | p << 28)


class Aedat:
    """AEDAT 1.0 to 3.1."""

    @staticmethod
    def header(version, *lines):
        lines = (f'!AER-DAT{version}', *lines)
        return ''.join(f'#{line}\r\n' for line in lines).encode()

    @staticmethod
    def packet(events, overflow=0, kind=1, size=8):
        data = b''.join(
            struct.pack('<Ii', x << 17 | y << 2 | p << 1 | valid, t)
            for t, x, y, p, valid in events)
        n = len(events)
        return struct.pack('<hhiiiiii', kind, 1, size, 4, overflow, n, n,
                           n) + data


def atis(t, x, y, p):
    """5 bytes of N-MNIST."""
    return bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255])


@pytest.fixture
def formats():
    """How the formats are written."""
    return dict(evt2=Evt2, evt21=Evt21, evt3=Evt3, dat=Dat, aedat=Aedat,
                atis=atis)


@pytest.fixture
def write(tmp_path):
    """Write a file; return its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def random_events():
    """Events on a sensor of 20x16, in order of time, some at once."""
    from mmsnn.datasets.events import make_events
    n = 4000
    return make_events(
        np.sort(np.random.randint(1000, 5000, n)),
        np.random.randint(0, 20, n), np.random.randint(0, 16, n),
        np.random.randint(0, 2, n))
