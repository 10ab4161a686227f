"""Every format, from files written byte by byte."""

import struct
from pathlib import Path

import numpy as np
import pytest

from mmsnn.datasets import read_events
from mmsnn.datasets.events import EVENT, EventFileError, Recording
from mmsnn.datasets.events.formats import reader

SHARED = Path(__file__).resolve().parents[5] / 'shared' / 'data'


class TestEvt:

    def test_evt2(self, write, formats):
        w = formats['evt2']
        path = write(
            'a.raw', w.header + w.high(6400) + w.event(6405, 1, 2, 1) +
            w.event(6405, 63, 47, 0) + w.high(6464) + w.high(6528) +
            w.event(6591, 3, 4, 0) + struct.pack('<I', 0xA << 28))
        assert read_events(path).tolist() == [(6405, 1, 2, 1),
                                              (6405, 63, 47, 0),
                                              (6591, 3, 4, 0)]
        assert Recording(path).size == (64, 48)

    def test_evt21(self, write, formats):
        w = formats['evt21']
        data = (
            w.high(6400) + w.events(6403, 32, 5, 1, 0b1001) +
            w.events(6410, 0, 6, 0, 1 << 31))
        wanted = [(6403, 32, 5, 1), (6403, 35, 5, 1), (6410, 31, 6, 0)]
        path = write('a.raw', w.header + data)
        assert read_events(path).tolist() == wanted
        assert Recording(path).size == (64, 48)
        # The upper half of each word first.
        swapped = np.frombuffer(data, '<u4').reshape(-1, 2)[:, ::-1].tobytes()
        header = b'% format EVT21;endianness=legacy\n% end\n'
        path = write('b.raw', header + swapped)
        assert read_events(path).tolist() == wanted

    def test_evt3(self, write, formats):
        w = formats['evt3']
        path = write(
            'a.raw', w.header + w.words(
                (8, 1), (6, 5), (0, 7), (2, 0x800 | 9),  # one event
                (3, 0x800 | 10), (4, 0b101), (5, 0b11),  # 12 pixels, then 8
                (8, 1), (2, 60),  # the same upper bits: nothing starts anew
                (0, 8), (3, 30), (5, 1),
                (8, 2), (2, 61),  # new upper bits without lower ones: 0
                (6, 3), (2, 62)))
        assert read_events(path).tolist() == [
            (4101, 9, 7, 1), (4101, 10, 7, 1), (4101, 12, 7, 1),
            (4101, 22, 7, 1), (4101, 23, 7, 1), (4101, 60, 7, 0),
            (4101, 30, 8, 0), (8192, 61, 8, 0), (8195, 62, 8, 0)
        ]

    def test_evt3_counts_on(self, write, formats):
        w = formats['evt3']
        path = write(
            'a.raw', w.header + w.words((8, 4095), (6, 9), (0, 1), (2, 2),
                                        (8, 0), (6, 4), (2, 3)))
        assert read_events(path)['t'].tolist() == [
            (4095 << 12) + 9, (4096 << 12) + 4
        ]

    @pytest.mark.parametrize('chunk', [1, 2, 3, 5])
    @pytest.mark.parametrize('name', ['evt2', 'evt21', 'evt3'])
    def test_state_outlives_a_chunk(self, name, chunk, write, formats,
                                    monkeypatch):
        w = formats[name]
        if name == 'evt3':
            data = w.words((8, 1), (6, 5), (0, 7), (2, 9), (3, 0x800 | 10),
                           (4, 0b101), (5, 0b11), (4, 0b1), (8, 2), (2, 61),
                           (6, 3), (0, 9), (2, 0x800 | 62))
        elif name == 'evt2':
            data = w.high(64) + w.event(65, 1, 2, 1) + w.event(66, 1, 2, 0) + (
                w.high(128) + w.event(129, 3, 4, 1))
        else:
            data = w.high(64) + w.events(65, 0, 2, 1, 7) + w.events(
                66, 32, 2, 0, 5) + w.high(128) + w.events(129, 0, 4, 1, 1)
        path = write('a.raw', w.header + data)
        whole = read_events(path)
        assert len(whole) >= 3
        monkeypatch.setattr(reader, 'CHUNK', chunk)
        assert read_events(path).tolist() == whole.tolist()

    def test_the_time_before_the_first_base_is_unknown(self, write, formats):
        w = formats['evt2']
        path = write(
            'a.raw',
            w.header + w.event(9, 1, 2, 1) + w.high(64) + w.event(65, 3, 4, 0))
        recording = Recording(path)
        assert recording.read().tolist() == [(65, 3, 4, 0)]

    @pytest.mark.parametrize('content, words', [
        (b'', 'none.* in 0 lines'),
        (b'no header', 'none.* in 0 lines'),
        (b'% evt 4.0\n% end\n', "got '4.0'"),
    ])
    def test_other_files(self, content, words, write):
        with pytest.raises(EventFileError, match=words) as error:
            read_events(write('a.raw', content))
        assert str(error.value).startswith(str(write('a.raw', content)))


class TestDat:

    def test_version_2(self, write, formats):
        w = formats['dat']
        path = write('a.dat', w.header + w.event(5, 1, 2, 1) +
                     w.event(7, 63, 47, 0))
        assert read_events(path).tolist() == [(5, 1, 2, 1), (7, 63, 47, 0)]
        assert Recording(path).size == (64, 48)

    def test_version_1(self, write):
        word = 300 | 200 << 9 | 1 << 17
        path = write('a.dat',
                     b'% x\n\x00\x08' + struct.pack('<II', 70000, word))
        assert read_events(path).tolist() == [(70000, 300, 200, 1)]

    def test_a_window_is_found_by_bisection(self, write, formats, monkeypatch):
        monkeypatch.setattr('mmsnn.datasets.events.formats.dat.CHUNK', 4)
        w = formats['dat']
        times = [3 * i for i in range(100)]
        path = write('a.dat', w.header + b''.join(
            w.event(t, t % 64, 0, 0) for t in times))
        assert read_events(path, 100, 130)['t'].tolist() == [
            t for t in times if 100 <= t < 130
        ]
        # The first chunk begins at the window.
        first, events = next(Recording(path).reader.chunks(100))
        assert first == 34 and events['t'][0] == 102
        assert not len(read_events(path, 1000))

    def test_a_wrapped_clock_is_not_bisected(self, write, formats):
        w = formats['dat']
        # Ends later than it begins, though the clock has wrapped.
        times = [100, 2**31, 2**32 - 1, 7, 2**31 + 1]
        path = write('a.dat', w.header + b''.join(
            w.event(t, 0, 0, 0) for t in times))
        with pytest.raises(EventFileError, match='wrapped.*at event 3'):
            read_events(path, 2**32)
        assert read_events(path, 2**32, on_error='skip')['t'].tolist() == [
            2**32 + 7, 2**32 + 2**31 + 1
        ]

    @pytest.mark.parametrize('content, words', [
        (b'', 'no DAT recording'),
        (b'MZ\x90', 'no DAT recording'),
        (b'% a\n\x0e\x08', 'kind 14 and 8 bytes at byte 4'),
        (b'% Version 3\n\x0c\x08', "DAT version '3'"),
        (b'% Width x\n% Height 2\n\x0c\x08',
         "a.dat: the header must have width and height .* 'x' and '2'"),
    ])
    def test_other_files(self, content, words, write):
        with pytest.raises(EventFileError, match=words):
            read_events(write('a.dat', content))


class TestAedat:

    def test_version_1(self, write, formats):
        # Row 2 from below of 128 is row 125 from above.
        data = struct.pack('>HI', 2 << 8 | 1 << 1 | 1, 5) + struct.pack(
            '>HI', 1 << 15, 6) + struct.pack('>HI', 4 << 8 | 3 << 1, 7)
        for header in (formats['aedat'].header('1.0'), b'# comment\r\n'):
            path = write('a.aedat', header + data)
            assert read_events(path).tolist() == [(5, 1, 125, 1),
                                                  (7, 3, 123, 0)]
            assert Recording(path).size == (128, 128)

    def test_data_may_begin_as_a_header_does(self, write, formats):
        # Row 35 from below: the first byte is that of "#".
        data = b''.join(struct.pack('>HI', 35 << 8 | x << 1, t)
                        for t, x in ((5, 1), (10, 5), (13, 6)))
        path = write('a.aedat', formats['aedat'].header('1.0') + data)
        assert read_events(path).tolist() == [
            (5, 1, 92, 0), (10, 5, 92, 0), (13, 6, 92, 0)]

    def test_version_2_of_dvs128(self, write, formats):
        data = struct.pack('>II', 2 << 8 | 1 << 1 | 1, 5)
        path = write('a.aedat', formats['aedat'].header('2.0') + data)
        assert read_events(path).tolist() == [(5, 1, 125, 1)]

    def test_version_2_of_davis(self, write, formats):
        header = formats['aedat'].header(
            '2.0', ' AEChip: eu.seebetter.ini.chips.davis.Davis346blue')
        event = 259 << 22 | 345 << 12 | 1 << 11
        data = b''.join(
            struct.pack('>II', word, 5)
            for word in (event, event | 1 << 31, event | 1 << 10))
        path = write('a.aedat', header + data)
        assert read_events(path).tolist() == [(5, 345, 0, 1)]
        assert Recording(path).size == (346, 260)

    def test_version_3(self, write, formats):
        w = formats['aedat']
        header = w.header('3.1', 'Format: RAW', 'Source 1: DVS128',
                          'Start-Time: 2016', '!END-HEADER')
        data = w.packet([(5, 1, 2, 1, 1), (6, 9, 9, 1, 0)]) + w.packet(
            [(1, 0, 0, 0, 0)], kind=3) + w.packet([(7, 3, 4, 0, 1)], 1)
        path = write('a.aedat', header + data)
        assert read_events(path).tolist() == [(5, 1, 2, 1),
                                              (7 + 2**31, 3, 4, 0)]
        assert Recording(path).size == (128, 128)
        # Version 3.0 counts rows from below.
        header = w.header('3.0', 'Source 1: DVS128')
        assert read_events(write('b.aedat', header + w.packet(
            [(5, 1, 2, 1, 1)]))).tolist() == [(5, 1, 125, 1)]

    @pytest.mark.parametrize('content, words', [
        (b'', "got 'no header'"),
        (b'#!AER-DAT5.0\r\n', "got '!AER-DAT5.0'"),
        (b'#!AER-DAT2.0\r\n# AEChip: x.Cochlea\r\n', "chip 'Cochlea'"),
        (b'#!AER-DAT3.1\r\n#!END-HEADER\r\n' + bytes(28),
         'damaged header of a packet at byte 28'),
    ])
    def test_other_files(self, content, words, write):
        with pytest.raises(EventFileError, match=words):
            read_events(write('a.aedat', content))

    def test_version_4(self, tmp_path, random_events):
        faery = pytest.importorskip(
            'faery', reason='faery writes AEDAT 4 (the extra "dev")')
        path = tmp_path / 'a.aedat4'
        events = np.empty(len(random_events), faery.EVENTS_DTYPE)
        for ours, theirs in zip('txyp', ('t', 'x', 'y', 'on')):
            events[theirs] = random_events[ours]
        faery.events_stream_from_array(events, (20, 16)).to_file(path)
        assert read_events(path).tolist() == random_events.tolist()
        assert Recording(path).size == (20, 16)
        other = path.with_suffix('.aedat')
        path.rename(other)
        assert len(read_events(other)) == len(random_events)
        path.write_bytes(other.read_bytes()[:-900])
        with pytest.raises(EventFileError, match='a.aedat4.*'):
            read_events(path)

    def test_version_4_without_its_magic(self, write):
        with pytest.raises(EventFileError, match="got 'hello'"):
            read_events(write('a.aedat4', b'hello'))


class TestAtis:

    def test_bits(self, write, formats):
        atis = formats['atis']
        path = write('a.bin', atis(0x7fffff, 33, 17, 0))
        assert read_events(path).tolist() == [(0x7fffff, 33, 17, 0)]

    def test_the_clock_counts_on_at_row_240(self, write, formats):
        atis = formats['atis']
        path = write(
            'a.bin',
            atis(5, 1, 2, 1) + atis(7, 0, 240, 0) + atis(8, 3, 4, 0) +
            atis(9, 0, 240, 0) + atis(9, 5, 6, 1))
        assert read_events(path).tolist() == [(5, 1, 2, 1),
                                              (8 + 8192, 3, 4, 0),
                                              (9 + 16384, 5, 6, 1)]


class TestColumns:

    def test_npz(self, tmp_path):
        path = tmp_path / 'a.npz'
        np.savez(path, x=[1, 2], y=[3, 4], t=[5., 6.], p=[-1, 1])
        assert read_events(path).tolist() == [(5, 1, 3, 0), (6, 2, 4, 1)]
        np.savez_compressed(
            path, ts=np.array([5], 'u4'), xs=[1], ys=[3], polarity=[True])
        assert read_events(path).tolist() == [(5, 1, 3, 1)]

    def test_npy(self, tmp_path, random_events):
        path = tmp_path / 'a.npy'
        np.save(path, random_events)
        assert read_events(path).tolist() == random_events.tolist()
        window = read_events(path, 2000, 3000)
        inside = (random_events['t'] >= 2000) & (random_events['t'] < 3000)
        assert window.tolist() == random_events[inside].tolist()

    @pytest.mark.parametrize('layout', ['prophesee', 'dsec'])
    def test_hdf5(self, layout, tmp_path, random_events):
        h5py = pytest.importorskip('h5py')
        path = tmp_path / 'a.h5'
        offset = 7 if layout == 'dsec' else 0
        with h5py.File(path, 'w') as file:
            if layout == 'dsec':
                for key in 'txyp':
                    file[f'events/{key}'] = random_events[key]
                file['t_offset'] = offset
            else:
                file.create_dataset('CD/events', data=random_events,
                                    chunks=(100, ), compression='gzip')
                file.attrs['geometry'] = '20x16'
        random_events['t'] += offset
        assert read_events(path).tolist() == random_events.tolist()
        window = read_events(path, 2000, 3000)
        inside = (random_events['t'] >= 2000) & (random_events['t'] < 3000)
        assert window.tolist() == random_events[inside].tolist()
        assert Recording(path).size == (
            None if layout == 'dsec' else (20, 16))
        odd = tmp_path / 'odd.h5'
        with h5py.File(odd, 'w') as file:
            file.create_dataset('CD/events', data=random_events)
            file.attrs['geometry'] = 'wide'
        with pytest.raises(EventFileError, match="odd.h5: .*'wide' and ''"):
            Recording(odd)
        half = tmp_path / 'half.h5'
        half.write_bytes(path.read_bytes()[:9000])
        with pytest.raises(EventFileError, match='no whole HDF5 file'):
            read_events(half)

    @pytest.mark.parametrize('arrays, words', [
        (dict(x=[1], y=[1], t=[1]), 'no p among x, y, t'),
        (dict(x=[1], y=[1], t=[.5], p=[1]), 't is 0.5 at event 0'),
        (dict(x=[1], y=[1], t=[np.inf], p=[1]), 't is inf at event 0'),
        (dict(x=[1], y=[1], t=[1], p=[2]), 'polarity 2 of event 0'),
        (dict(x=[1, 2], y=[1], t=[1], p=[1]), 'different lengths'),
        (dict(x=[[1]], y=[1], t=[1], p=[1]), 'column x must be real numbers'),
    ])
    def test_wrong_columns(self, arrays, words, tmp_path):
        path = tmp_path / 'a.npz'
        np.savez(path, **arrays)
        with pytest.raises(EventFileError, match=words):
            read_events(path)

    @pytest.mark.parametrize('suffix', ['npy', 'npz'])
    def test_other_files(self, suffix, write, tmp_path):
        with pytest.raises(EventFileError, match='no whole'):
            read_events(write(f'a.{suffix}', b'junk'))
        np.save(tmp_path / 'whole.npy', np.zeros((9, 4)))
        with pytest.raises(EventFileError, match='must be structured'):
            read_events(tmp_path / 'whole.npy')
        np.save(tmp_path / 'whole.npy', np.zeros(9, EVENT))
        np.savez(tmp_path / 'whole.npz', x=np.zeros(900))
        whole = (tmp_path / f'whole.{suffix}').read_bytes()
        with pytest.raises(EventFileError, match='no whole'):
            read_events(write(f'b.{suffix}', whole[:-20]))


def test_unknown_suffix_and_missing_file(write, tmp_path):
    with pytest.raises(EventFileError, match="suffix '.txt'; known are .raw"):
        read_events(write('a.txt', b''))
    for suffix in ('raw', 'dat', 'aedat', 'aedat4', 'bin', 'npy', 'npz'):
        with pytest.raises(FileNotFoundError, match=f'none.{suffix}'):
            read_events(tmp_path / f'none.{suffix}')


@pytest.mark.skipif(not (SHARED / 'recording_evt2.raw').exists(),
                    reason='the shared recording is not there')
class TestRealRecording:

    def test_figures(self):
        events = read_events(SHARED / 'recording_evt2.raw', size=(640, 480))
        assert len(events) == 521_252
        assert events[0].item()[1:] == (35, 443, 1)
        assert (events['t'][0], events['t'][-1]) == (913_716_224, 913_812_095)
        assert events['p'].sum() == 185_861

    def test_agrees_with_an_independent_decoder(self):
        faery = pytest.importorskip(
            'faery', reason='faery is the independent decoder')
        path = SHARED / 'recording_evt2.raw'
        theirs = np.concatenate(list(faery.events_stream_from_file(path)))
        ours = read_events(path)
        for our, their in zip('txyp', ('t', 'x', 'y', 'on')):
            assert (ours[our] == theirs[their]).all()
