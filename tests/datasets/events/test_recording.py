"""Faults of recordings: named, or counted and skipped."""

import numpy as np
import pytest

from mmsnn.datasets import read_events
from mmsnn.datasets.events import EventFileError, Recording, make_events
from mmsnn.datasets.events import faults as faults_module
from mmsnn.datasets.events.checks import count_faults


@pytest.fixture
def summaries(monkeypatch):
    """What was logged."""
    lines = []
    monkeypatch.setattr(faults_module, 'print_log',
                        lambda text, **kwargs: lines.append(text))
    return lines


CASES = dict(
    # 3 bytes of the second event, at byte 5.
    cut=('bin', lambda f: f['atis'](5, 1, 2, 1) + b'\1\2\3',
         'cut off: 3 of 5 bytes of a word at byte 5', [(5, 1, 2, 1)],
         '1 x cut off'),
    order=('bin', lambda f: f['atis'](5, 1, 2, 1) + f['atis'](9, 1, 2, 1) +
           f['atis'](8, 1, 3, 1) + f['atis'](9, 0, 0, 0),
           'event out of order: event 2 at 8 us, after one at 9 us',
           [(5, 1, 2, 1), (9, 1, 2, 1), (9, 0, 0, 0)],
           '1 x event out of order'),
    outside=('dat', lambda f: f['dat'].header + f['dat'].event(5, 1, 48, 1) +
             f['dat'].event(6, 64, 0, 0) + f['dat'].event(7, 63, 47, 0),
             'outside the sensor: event 0 at x 1, y 48; the sensor is 64x48',
             [(7, 63, 47, 0)], '2 x event outside the sensor'),
    wrap=('dat', lambda f: f['dat'].header + f['dat'].event(
        2**32 - 1, 1, 2, 1) + f['dat'].event(4, 3, 4, 0) + f['dat'].event(
            2, 3, 4, 0) + f['dat'].event(6, 3, 4, 0),
          r'time wrapped \(counted on\): from 4294967295 us to 4 us at event '
          '1; the clock has 32 bits',
          [(2**32 - 1, 1, 2, 1), (2**32 + 4, 3, 4, 0), (2**32 + 6, 3, 4, 0)],
          '1 x time wrapped (counted on), 1 x event out of order'),
    empty=('bin', lambda f: b'', 'empty recording: it has no event', [],
           '1 x empty recording'),
    no_events=('raw', lambda f: f['evt2'].header + f['evt2'].high(64),
               'empty recording: it has no event', [],
               '1 x empty recording'),
    cut_word=('raw', lambda f: f['evt2'].header + f['evt2'].high(64) + f[
        'evt2'].event(65, 1, 2, 1) + b'\0', 'cut off: 1 of 4 bytes of a word '
              'at byte 41', [(65, 1, 2, 1)], '1 x cut off'),
    cut_dat=('dat', lambda f: f['dat'].header + f['dat'].event(5, 1, 2, 1) +
             b'\0', 'cut off: 1 of 8 bytes of an event at byte 84',
             [(5, 1, 2, 1)], '1 x cut off'),
    cut_packet=('aedat', lambda f: f['aedat'].header('3.1', '!END-HEADER') + f[
        'aedat'].packet([(5, 1, 2, 1, 1), (6, 1, 2, 1, 1)])[:-4],
                "cut off: 12 of 16 bytes of a packet's events at byte 56",
                [(5, 1, 2, 1)], '1 x cut off'),
    cut_header=('aedat', lambda f: f['aedat'].header('3.1', '!END-HEADER') + f[
        'aedat'].packet([(5, 1, 2, 1, 1)]) + b'\1\0',
                "cut off: 2 of 28 bytes of a packet's header at byte 64",
                [(5, 1, 2, 1)], '1 x cut off'),
    high_falls=('raw', lambda f: f['evt2'].header + f['evt2'].high(128) + f[
        'evt2'].event(129, 1, 2, 1) + f['evt2'].high(64) + f['evt2'].event(
            65, 1, 2, 1), 'event out of order: event 1 at 65 us',
                [(129, 1, 2, 1)], '1 x event out of order'),
    evt3_order=('raw', lambda f: f['evt3'].header + f['evt3'].words(
        (8, 1), (6, 50), (0, 7), (2, 9), (6, 20), (2, 11)),
                'event out of order: event 1 at 4116 us, after one at 4146',
                [(4146, 9, 7, 0)], '1 x event out of order'),
)


@pytest.mark.parametrize('case', CASES)
def test_faults(case, write, formats, summaries, path_of):
    suffix, content, words, left, summary = CASES[case]
    path = write(f'a.{suffix}', content(formats))
    with pytest.raises(EventFileError, match=words) as error:
        read_events(path)
    assert str(error.value).startswith(f'{path}: ')
    assert not summaries
    assert read_events(path, on_error='skip').tolist() == left
    assert summaries == [f'{path}: {summary}']


def test_faults_across_chunks(write, formats, monkeypatch, path_of):
    monkeypatch.setattr('mmsnn.datasets.events.formats.dat.CHUNK', 2)
    w = formats['dat']
    times = [*(2**32 - t for t in (9, 8, 9, 7)), 5, 4, 6, 7]
    path = write('a.dat', w.header + b''.join(
        w.event(t, 0, 0, 0) for t in times))
    assert read_events(path, on_error='skip')['t'].tolist() == [
        2**32 + t for t in (-9, -8, -7, 5, 6, 7)
    ]
    with pytest.raises(EventFileError, match='event 2 at 4294967287 us'):
        read_events(path)


def test_a_stated_size_wins(write, formats):
    path = write('a.bin', formats['atis'](5, 34, 2, 1))
    assert len(read_events(path)) == 1
    with pytest.raises(EventFileError, match='x 34, y 2; .* is 34x34'):
        read_events(path, size=(34, 34))


def test_windows(write, formats):
    atis = formats['atis']
    path = write('a.bin', b''.join(atis(t, 0, 0, 0) for t in (5, 6, 6, 9)))
    for start, stop, times in ((None, 6, [5]), (6, 9, [6, 6]), (7, 9, []),
                               (9, None, [9]), (10, None, []), (0, 5, [])):
        assert read_events(path, start, stop)['t'].tolist() == times


def test_what_follows_a_window_is_not_read(write, formats, monkeypatch):
    monkeypatch.setattr('mmsnn.datasets.events.formats.reader.CHUNK', 2)
    atis = formats['atis']
    times = (5, 6, 7, 8, 9, 3)
    path = write('a.bin', b''.join(atis(t, 0, 0, 0) for t in times))
    assert read_events(path, 6, 8)['t'].tolist() == [6, 7]
    with pytest.raises(EventFileError, match='event 5 at 3 us'):
        read_events(path, 6)


def test_chunks_are_lazy(write, formats, monkeypatch):
    monkeypatch.setattr('mmsnn.datasets.events.formats.reader.CHUNK', 2)
    atis = formats['atis']
    path = write('a.bin', b''.join(atis(t, 0, 0, 0) for t in range(5)))
    chunks = Recording(path).chunks()
    assert next(chunks)['t'].tolist() == [0, 1]
    assert [len(chunk) for chunk in chunks] == [2, 1]


def test_unknown_on_error(write):
    with pytest.raises(ValueError, match="one of raise, skip, got 'ignore'"):
        read_events(write('a.bin', b''), on_error='ignore')


def test_both_checks_agree(random_events, path_of):
    assert count_faults(random_events, 0, (20, 16)) == (-1, 0, -1, 0)
    # Three early, two outside, worked out by hand.
    events = make_events([5, 4, 7, 6, 7, 6], [0, 1, 2, 3, 9, 1],
                         [0, 0, 5, 0, 0, 0], [0] * 6)
    assert count_faults(events, 5, (4, 5)) == (1, 3, 2, 2)
    assert count_faults(events[:0], 5, (4, 5)) == (-1, 0, -1, 0)
    assert count_faults(events[::2], np.iinfo('i8').min,
                        (4, 9)) == (-1, 0, 2, 1)
