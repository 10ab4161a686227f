"""Files that claim what they do not have, or that are no files."""

import os
import socket
import struct
import subprocess
import sys
import time
import warnings
import zipfile

import numpy as np
import pytest

from mmsnn.datasets.events import EventFileError, Recording, read_events
from mmsnn.datasets.events.array import EVENT
from mmsnn.datasets.events.faults import Faults, printable
from mmsnn.datasets.events.formats.columns import NAMES
from mmsnn.datasets.events.formats.hdf5_child import open_file
from mmsnn.datasets.events.formats.reader import CHUNK

COLUMNS = dict(t=[5, 6], x=[1, 2], y=[3, 4], p=[0, 1])


@pytest.fixture
def refused(tmp_path):
    """Read what a folder has under a name; its refusal, once checked."""

    def refused(path, words, **options):
        with pytest.raises(EventFileError, match=words) as error:
            read_events(path, **options)
        text = str(error.value)
        assert len(text) <= 300 and text.isprintable()
        assert path.name in text
        return text

    return refused


@pytest.fixture
def hdf5(tmp_path):
    """Write an HDF5 file by a function; return its path."""
    h5py = pytest.importorskip('h5py')

    def write(fill, name='a.h5'):
        path = tmp_path / name
        with h5py.File(path, 'w') as file:
            fill(file, h5py)
        return path

    return write


class TestNoFiles:

    @pytest.mark.parametrize('suffix', ['raw', 'aedat', 'npz', 'npy', 'h5'])
    def test_a_folder_and_a_pipe(self, suffix, tmp_path, refused):
        folder = tmp_path / f'folder.{suffix}'
        folder.mkdir()
        refused(folder, 'it is a folder; a recording is a file')
        pipe = tmp_path / f'pipe.{suffix}'
        os.mkfifo(pipe)
        refused(pipe, 'it is a pipe')

    def test_a_device_a_socket_and_a_loop(self, tmp_path, refused,
                                          monkeypatch):
        device = tmp_path / 'zero.raw'
        device.symlink_to('/dev/zero')
        refused(device, 'it is a device')
        loop = tmp_path / 'loop.raw'
        loop.symlink_to(loop)
        refused(loop, 'it cannot be opened: Too many levels')
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as one:
            one.bind('socket.raw')
            refused(tmp_path / 'socket.raw', 'it is a socket')

    def test_a_file_that_may_not_be_read(self, write, refused, monkeypatch):
        path = write('a.raw', b'')

        def forbidden(*args, **kwargs):
            raise PermissionError(13, 'Permission denied')

        monkeypatch.setattr('builtins.open', forbidden)
        refused(path, 'it cannot be opened: Permission denied')

    def test_the_disk_fails_while_reading(self, write, formats, refused,
                                          monkeypatch):
        path = write('a.bin', formats['atis'](5, 1, 2, 1))

        def fails(*args):
            raise OSError(5, 'Input/output error')

        monkeypatch.setattr(
            'mmsnn.datasets.events.formats.reader.EventReader.words', fails)
        refused(path, 'it cannot be read: .*Input/output error')


class TestMessages:

    def test_they_are_short_and_can_be_printed(self, tmp_path):
        faults = Faults(tmp_path / ('n' * 250 + '\n.raw'), 'raise')
        text = str(faults.error('wrong\x00' + 'a' * 900 + ' end'))
        assert len(text) == 300 and text.isprintable()
        assert '\\n.raw: wrong\\x00' in text and text.endswith(' end')
        with pytest.raises(EventFileError) as error:
            faults.found('cut off', 'a' * 900)
        text = str(error.value)
        assert len(text) <= 300 and "on_error='skip'" in text

    def test_what_is_no_character_is_escaped(self):
        assert printable('a\udcff\u200b\tä') == '\\udcff'.join(
            ('a', '\\u200b\\tä'))


class TestHeaders:

    @pytest.mark.parametrize('suffix, mark', [
        ('raw', b'%'), ('dat', b'%'), ('aedat', b'#')])
    def test_without_an_end(self, suffix, mark, tmp_path, refused):
        path = tmp_path / f'a.{suffix}'
        with open(path, 'wb') as file:
            file.write(mark + b'a')
            file.truncate(1 << 31)
        start = time.perf_counter()
        refused(path, 'header')
        path.write_bytes(mark + b'a' * (1 << 20))
        refused(path, 'its header does not end: at line 1,')
        path.write_bytes((mark + b'a\n') * (6 << 20))
        refused(path, 'its header does not end')
        assert time.perf_counter() - start < 20

    @pytest.mark.parametrize('size', [
        '0x0', '18446744073709551616x480', '-1x4', 'x', '640', '1e3x2',
        '9' * 5000 + 'x1', b'\x1b[31mx5'.decode(), '65536x1'])
    def test_no_sensor(self, size, write, formats, refused):
        header = f'% evt 2.0\n% geometry {size}\n% end\n'.encode()
        text = refused(write('a.raw', header + formats['evt2'].high(64)),
                       'width and height|no text')
        assert '\x1b' not in text

    def test_the_largest_sensor(self, write, formats):
        path = write('a.raw', b'% evt 2.0\n% geometry 65535x65535\n% end\n' +
                     formats['evt2'].high(64) +
                     formats['evt2'].event(65, 1, 2, 1))
        assert Recording(path).size == (65535, 65535)

    @pytest.mark.parametrize('size', [(0, 0), (64, ), (2**64, 480), (5, 6.5)])
    def test_no_sensor_by_argument(self, size, write):
        with pytest.raises(ValueError, match='size must be width and height'):
            Recording(write('a.bin', b''), size)


class TestPackets:

    def test_a_capacity_that_is_not_there(self, write, formats, refused):
        w = formats['aedat']
        packet = bytearray(w.packet([(5, 1, 2, 1, 1)]))
        packet[16:20] = struct.pack('<i', 2**31 - 1)
        path = write('a.aedat', w.header('3.1', '!END-HEADER') + packet)
        refused(path, 'cut off: 8 of 17179869176 bytes')
        assert read_events(path, on_error='skip').tolist() == [(5, 1, 2, 1)]

    def test_a_header_that_names_no_chip_or_version(self, write, formats,
                                                    refused):
        # Addresses of a DAVIS are none of a DVS128, which is the default.
        path = write('a.aedat', formats['aedat'].header('2.0') + struct.pack(
            '>II', 100 << 22 | 50 << 12, 5))
        refused(path, 'address of another chip: 0x19032000, which')
        assert not len(read_events(path, on_error='skip'))
        w = formats['dat']
        header = w.header.replace(b'% Version 2\n', b'')
        refused(write('a.dat', header + w.event(5, 1, 2, 1)),
                'event 0 is none of version 1')
        path = write('a.dat', header.replace(b'% Height', b'% Version 1\n% '
                                             b'Height') + w.event(5, 1, 0, 0))
        assert read_events(path).tolist() == [(5, 1, 0, 0)]

    def test_times_below_zero(self, write, formats, refused):
        w = formats['aedat']
        path = write('a.aedat', w.header('3.1', '!END-HEADER') + w.packet(
            [(5, 1, 2, 1, 1), (-3, 1, 2, 1, 1), (7, 3, 4, 0, 1)]))
        refused(path, 'negative time: event 1 at -3 us')
        assert read_events(path, on_error='skip')['t'].tolist() == [5, 7]

    def test_vectors_that_run_out_of_the_sensor(self, write, formats,
                                                refused):
        # 5,462 vectors of 12 pixels: column 65,544 would wrap to 8.
        w = formats['evt3']
        words = [(8, 1), (6, 5), (0, 7), (3, 0), *[(4, 0)] * 5462, (4, 1)]
        path = write('a.raw', b'% evt 3.0\n% end\n' + w.words(*words))
        refused(path, 'outside the sensor')


class TestArrays:

    @pytest.mark.parametrize('suffix', ['npz', 'h5'])
    @pytest.mark.parametrize('columns, words', [
        (dict(x=[1, 70000]), 'event 1 at x 70000, y 4'),
        (dict(y=[-1, 4]), 'event 0 at x 1, y -1'),
        (dict(t=[1e30, 2e30]), 't is 1e.30 at event 0'),
        (dict(t=[1, np.nan]), 't is nan at event 1'),
        (dict(t=np.array([1, 2**63], 'u8')), 't is 9223372036854775808'),
        (dict(t=[-4, 5]), 'negative time: event 0 at -4 us'),
        (dict(t=[9, 5]), 'out of order: event 1 at 5 us, after one at 9'),
        (dict(x=[np.inf, 1]), 'x is inf at event 0'),
        (dict(p=[0, 3]), 'polarity 3 of event 1'),
        (dict(x=[True, False]), 'column x must be real numbers'),
        (dict(t=[1j, 2]), 'column t must be real numbers'),
        (dict(t=np.array(['a', 'b'], 'S1')), 'column t must be real numbers'),
        (dict(t=np.zeros((2, 2))), 'column t must be real numbers'),
        (dict(t=[5]), 'columns of different lengths'),
    ])
    def test_values(self, suffix, columns, words, tmp_path, hdf5, refused):
        columns = {**COLUMNS, **columns}
        if suffix == 'npz':
            path = tmp_path / 'a.npz'
            np.savez(path, **columns)
        else:
            path = hdf5(lambda file, _: [
                file.create_dataset(key, data=value)
                for key, value in columns.items()])
        refused(path, words)

    def test_objects_are_not_loaded(self, tmp_path, refused):
        for suffix, save in (('npy', np.save), ('npz', np.savez)):
            path = tmp_path / f'a.{suffix}'
            save(path, np.array([print, None], object))
            refused(path, 'no whole .npy file of numbers')

    @pytest.mark.parametrize('shape', [
        '(1099511627776,)', '(18446744073709551616,)', '(-1,)', '(2.0,)',
        '(True,)', '2', '()', '(' * 5000])
    def test_claims_of_an_npy(self, shape, write, refused):
        descr = [(key, '<i8') for key in 'txyp']
        header = (f"{{'descr': {descr}, 'fortran_order': False, "
                  f"'shape': {shape}, }}\n").encode()
        content = b'\x93NUMPY\1\0' + struct.pack('<H', len(header)) + header
        refused(write('a.npy', content + bytes(64)),
                'no whole .npy file|must be structured')

    def test_a_cut_and_a_longer_array(self, tmp_path, random_events, refused):
        path = tmp_path / 'a.npy'
        np.save(path, random_events)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        refused(path, 'cut off: .* of 4000 elements')
        assert (read_events(path, on_error='skip') == random_events[:-1]
                ).all()
        path.write_bytes(whole.replace(b'(4000,)', b'(3000,)'))
        refused(path, 'more than the header says')

    def test_a_bomb(self, tmp_path, refused):
        path = tmp_path / 'a.npz'
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
            for key in 'txyp':
                with archive.open(f'{key}.npy', 'w') as file:
                    np.lib.format.write_array_header_1_0(file, dict(
                        descr='<i8', fortran_order=False,
                        shape=(1 << 23, )))
                    for _ in range(64):
                        file.write(bytes(1 << 20))
        assert path.stat().st_size < 1 << 19
        refused(path, 'its arrays would take 268,435,968')

    @pytest.mark.parametrize('suffix', ['npz', 'h5', 'npz of one'])
    def test_a_bomb_of_bytes(self, suffix, tmp_path, hdf5, refused):
        # 36 MB that become 144 MB of events; with less, they are read.
        for count in 9_000_000, 8:
            zeros = np.zeros(count, 'u1')
            path = tmp_path / 'a.npz'
            if suffix == 'npz':
                np.savez_compressed(path, **dict.fromkeys('txyp', zeros))
            elif suffix == 'h5':
                path = hdf5(lambda file, _, zeros=zeros: [
                    file.create_dataset(key, data=zeros, compression='gzip')
                    for key in 'txyp'])
            else:
                np.savez_compressed(path, np.zeros(
                    count, [(key, 'u1') for key in 'txyp']))
            if count > 8:
                refused(path, 'its events would take 144,000,000 bytes')
            else:
                assert read_events(path).tolist() == [(0, 0, 0, 0)] * 8

    def test_numbers_of_two_bytes(self, tmp_path, refused):
        path = tmp_path / 'a.npz'
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            np.savez(path, **{key: np.array(value, 'f2')
                              for key, value in COLUMNS.items()})
            assert read_events(path).tolist() == [(5, 1, 3, 0), (6, 2, 4, 1)]
            np.savez(path, **{**COLUMNS, 't': np.array([1, np.inf], 'f2')})
            refused(path, 't is inf at event 1')

    @pytest.mark.parametrize('method', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_compression(self, method, tmp_path, refused):
        np.savez(tmp_path / 'whole.npz', **COLUMNS)
        path = tmp_path / 'a.npz'
        with zipfile.ZipFile(tmp_path / 'whole.npz') as whole:
            with zipfile.ZipFile(path, 'w', method) as archive:
                for name in whole.namelist():
                    archive.writestr(name, whole.read(name))
        refused(path, 'np.savez writes 0 and 8')


class TestFilesThatChange:

    @pytest.mark.parametrize('suffix, place', [
        ('.npy', 'element 131072'), ('.dat', 'element 131072'),
        ('.aedat', r'byte \d+')])
    def test_cut_off_while_it_is_read(self, suffix, place, tmp_path, formats):
        path, count = tmp_path / f'a{suffix}', 2 * CHUNK
        if suffix == '.npy':
            np.save(path, np.zeros(count, EVENT))
        elif suffix == '.aedat':
            w = formats['aedat']
            path.write_bytes(w.header('3.1', '!END-HEADER') + w.packet(
                [(5, 1, 2, 1, 1)] * count))
        else:
            path.write_bytes(b'% Version 2\n\x0c\x08' + bytes(8 * count))
        chunks = Recording(path).chunks()
        assert len(next(chunks)) == CHUNK
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(EventFileError, match=(
                rf'a\{suffix}: it was cut off while it was read, at {place}')
        ):
            next(chunks)


class TestHDF5:

    def test_rows_that_are_not_there(self, hdf5, refused):
        for chunks in (None, (1000, )):
            def fill(file, h5py, chunks=chunks):
                for key in 'txyp':
                    file.create_dataset(key, (1 << 40, ), 'i8',
                                        chunks=chunks)
            refused(hdf5(fill), 'claims 8,796,093,022,208 bytes')

    def test_blocks_that_are_not_there(self, hdf5, refused):
        def fill(file, h5py):
            for key in 'txyp':
                file.create_dataset(key, (5000, ), 'i8', chunks=(1000, ))
                file[key][:2000] = 1
        refused(hdf5(fill), 'has 2 of its 5 blocks of data')

    def test_data_that_were_never_written(self, hdf5, refused):
        refused(hdf5(lambda file, _: [
            file.create_dataset(key, (50, ), 'i8') for key in 'txyp']),
            'has 0 of its 400 bytes of data')

    def test_a_bomb(self, hdf5, refused):
        def fill(file, h5py):
            for key, count in dict(t=1 << 25, x=1, y=1, p=1).items():
                file.create_dataset(key, data=np.zeros(count, 'i8'),
                                    compression='gzip', chunks=(count, ))
        refused(hdf5(fill), 'claims 268,435,456 bytes')

    def test_a_bomb_of_all_columns(self, hdf5, refused):
        def fill(file, h5py):
            for key in 'txyp':  # 128 MB are allowed, three are 144
                file.create_dataset(key, data=np.zeros(6_000_000, 'i8'),
                                    compression='gzip', chunks=(1_000_000, ))
        refused(hdf5(fill), 'its columns would take 144,000,000 bytes up to '
                '/y, but the whole file has')

    @pytest.mark.parametrize('rows, kept', [(1 << 10, 1 << 20),
                                            (1 << 20, 1 << 23)])
    def test_a_block_is_expanded_once(self, rows, kept, hdf5):
        # A block that HDF5 does not keep is expanded anew for each slice.
        path = hdf5(lambda file, _: [
            file.create_dataset(key, data=np.zeros(5000, kind),
                                chunks=(rows, ), maxshape=(None, ),
                                compression='gzip')
            for key, kind in dict(t='i8', x='u2', y='u2', p='u1').items()])
        file = open_file(str(path), NAMES, 1 << 27).file
        assert file.id.get_access_plist().get_cache()[2] == kept
        file.close()
        assert len(read_events(path)) == 5000

    @pytest.mark.parametrize('place', ['t', 'events', 'CD/events'])
    def test_links_out_of_the_file(self, place, hdf5, refused):
        other = hdf5(lambda file, _: [
            file.create_dataset(f'{group}{key}', data=value)
            for key, value in COLUMNS.items()
            for group in ('', 'events/')], 'other.h5')

        def fill(file, h5py):
            for key, value in COLUMNS.items():
                if key != place:
                    file[key] = value
            file[place] = h5py.ExternalLink(str(other), '/events')
        refused(hdf5(fill), f'{place} is a link to elsewhere')

    def test_links_in_the_file(self, hdf5):
        def fill(file, h5py):
            for key, value in COLUMNS.items():
                file[f'raw/all/{key}'] = value
                file[f'raw/{key}'] = h5py.SoftLink(f'./all/{key}')
            file['events'] = h5py.SoftLink('/again')
            file['again'] = h5py.SoftLink('raw')
        assert read_events(hdf5(fill)).tolist() == [(5, 1, 3, 0),
                                                    (6, 2, 4, 1)]

    @pytest.mark.parametrize('target, words', [
        ('/t', 't is a link to a link, and so on'),
        ('/none', 't is a link to nothing'),
        ('/out/t', 't is a link to elsewhere')])
    def test_links_that_lead_nowhere(self, target, words, hdf5, refused):
        def fill(file, h5py):
            for key in 'xyp':
                file[key] = COLUMNS[key]
            file['out'] = h5py.ExternalLink('other.h5', '/')
            file['t'] = h5py.SoftLink(target)
        refused(hdf5(fill), words)

    def test_a_window_of_times_that_are_no_numbers(self, hdf5, refused):
        refused(hdf5(lambda file, _: [
            file.create_dataset(key, data=value) for key, value in
            dict(COLUMNS, t=[np.nan, np.nan]).items()]),
            't is nan at event', start=3)

    def test_data_in_other_files(self, hdf5, tmp_path, refused):
        (tmp_path / 'raw').write_bytes(bytes(16))

        def fill(file, h5py):
            for key in 'xyp':
                file[key] = [0, 0]
            file.create_dataset('t', (2, ), 'i8', external=str(
                tmp_path / 'raw'))
        refused(hdf5(fill), 'the data of /t lie in other files')

        def virtual(file, h5py):
            for key in 'xyp':
                file[key] = [0, 0]
            layout = h5py.VirtualLayout((2, ), 'i8')
            layout[:] = h5py.VirtualSource(str(tmp_path / 'b.h5'), 't', (2, ))
            file.create_virtual_dataset('t', layout)
        refused(hdf5(virtual), 'the data of /t lie in other files')

    @pytest.mark.parametrize('offset', [[1, 2], 1.5, 'a', 2**63 - 1])
    def test_offsets(self, offset, hdf5, refused):
        def fill(file, h5py):
            for key, value in COLUMNS.items():
                file[key] = value
            file['t_offset'] = offset
        refused(hdf5(fill), 't_offset must be one whole number|too large')

    @pytest.mark.parametrize('size', [
        (0, 0), (64.5, 48), (np.nan, 4), ([1, 2], 3), ('a', 'b')])
    def test_sizes(self, size, hdf5, refused):
        def fill(file, h5py):
            for key, value in COLUMNS.items():
                file[key] = value
            file.attrs['width'], file.attrs['height'] = size
        refused(hdf5(fill), 'width and height of the sensor')

    def test_what_ends_the_library_does_not_end_the_reader(
            self, hdf5, refused, monkeypatch):
        from mmsnn.datasets.events.formats import hdf5 as module
        path = hdf5(lambda file, _: [
            file.create_dataset(key, data=value)
            for key, value in COLUMNS.items()])
        assert len(read_events(path)) == 2
        # Requests of no sense end the child, as a crash in HDF5 would.
        with monkeypatch.context() as patch:
            patch.setattr(module.json, 'dumps', lambda request: '{')
            refused(path, 'HDF5 ended itself by reading it')
        assert len(read_events(path)) == 2

    def test_a_file_that_changes_is_read_anew(self, hdf5):
        for shift in range(5):
            path = hdf5(lambda file, _, shift=shift: [
                file.create_dataset(key, data=np.add(value, shift * (
                    key == 't'))) for key, value in COLUMNS.items()])
            assert read_events(path)['t'].tolist() == [5 + shift, 6 + shift]

    def test_each_forked_process_has_a_child_of_its_own(self, hdf5):
        path = hdf5(lambda file, _: [
            file.create_dataset(key, data=np.tile(value, 50))
            for key, value in dict(COLUMNS, t=[5, 5]).items()])
        code = '''
import os, sys
import torch
from torch.utils.data import DataLoader
from mmsnn.datasets.events import read_events

class Set:
    def __len__(self): return 40
    def __getitem__(self, i): return len(read_events(sys.argv[1]))

assert len(read_events(sys.argv[1])) == 100
loader = DataLoader(Set(), batch_size=5, num_workers=2,
                    multiprocessing_context='fork')
assert sum(int(batch.sum()) for batch in loader) == 4000
assert len(read_events(sys.argv[1])) == 100
'''
        done = subprocess.run([sys.executable, '-c', code, str(path)],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


class TestContradictions:

    @staticmethod
    def aedat4(path, xml):
        header = struct.pack('<I', 20) + b'IOHE' + struct.pack(
            '<HHHHH2xiiqII', 10, 20, 4, 8, 16, 12, 0, -1, 4, len(xml)) + xml
        path.write_bytes(b'#!AER-DAT4.0\r\n' +
                         struct.pack('<I', len(header)) + header)
        return path

    def test_streams_in_streams(self, tmp_path, refused):
        node = b'<node name="outInfo">'
        path = self.aedat4(tmp_path / 'a.aedat4',
                           node * 60000 + b'</node>' * 60000)
        start = time.monotonic()
        refused(path, 'no stream of events')
        assert time.monotonic() - start < 5

    def test_entities_of_two_bytes(self, tmp_path, refused):
        xml = ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE dv ['
               '<!ENTITY a "b">]><dv>&a;</dv>').encode('utf-16')
        refused(self.aedat4(tmp_path / 'a.aedat4', xml), 'declares entities')

    def test_a_time_that_an_offset_wraps(self, hdf5, refused):
        def fill(file, h5py):
            for key, column in COLUMNS.items():
                file[key] = [-2**63, 5] if key == 't' else column
            file['t_offset'] = -1

        refused(hdf5(fill), 'too large for 64 bits', on_error='skip')

    def test_an_attribute_that_json_has_not(self, hdf5, refused):
        def fill(file, h5py):
            for key, column in COLUMNS.items():
                file[key] = column
            file.attrs.update(width=64j, height=48)

        refused(hdf5(fill), 'must have width and height of the sensor')

    def test_a_warning_can_be_printed(self, tmp_path, monkeypatch):
        path = tmp_path / 'a\nb.bin'
        path.write_bytes(bytes([3, 7, 128, 1, 0, 4]))
        said = []
        monkeypatch.setattr('mmsnn.datasets.events.faults.print_log',
                            lambda text, **_: said.append(text))
        assert len(read_events(path, on_error='skip')) == 1
        assert said == [f'{tmp_path}/a\\nb.bin: 1 x cut off']
