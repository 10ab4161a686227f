"""200 mutations of each format; `event_files.py` runs thousands."""

import pytest
from fuzz.event_files import judge, run
from fuzz.event_writers import SIZE, WRITERS, some_events

from mmsnn.datasets.events import EventFileError, Recording, read_events


def _needs(name):
    if name.startswith('hdf5'):
        pytest.importorskip('h5py')


@pytest.mark.parametrize('name', WRITERS)
def test_whole_files_are_read(name, tmp_path):
    _needs(name)
    suffix, write = WRITERS[name]
    path = tmp_path / f'a{suffix}'
    content, ends = write(some_events())
    path.write_bytes(content)
    assert read_events(path).tolist() == some_events().tolist()
    assert Recording(path).size in (None, SIZE, (128, 128), (240, 180))
    assert ends is None or (len(ends) == 400 and ends[-1] <= len(content))


@pytest.mark.parametrize('name', WRITERS)
def test_broken_files(name, tmp_path):
    _needs(name)
    result = run(name, 0, 200, tmp_path)
    assert not result['wrong']
    assert result['right'] + result['refused'] == 200
    assert result['refused'] > 20 and result['right'] > 2


def test_what_is_wrong_is_seen(tmp_path, monkeypatch):
    path = tmp_path / 'a.bin'
    path.write_bytes(WRITERS['atis'][1](some_events())[0])
    events = some_events()
    assert judge(path, events, 400, False, 'raise') == 'right'
    other = events.copy()
    other['x'][3] += 1
    assert judge(path, other, 3, False, 'raise') == 'right'
    assert 'before the damage' in judge(path, other, 4, False, 'raise')
    assert 'checksum' in judge(path, other, 0, True, 'raise')
    assert 'behind' in judge(path, other, 0, False, 'raise', True)
    other['x'][3] -= 1
    other['t'][0] = 0
    assert judge(path, other, 0, False, 'raise', True) == 'right'
    for error, words in ((KeyError('t'), 'KeyError'),
                         (EventFileError('a.bin' * 90), 'message'),
                         (EventFileError('a.bin\0'), 'message'),
                         (EventFileError('without name'), 'message')):
        def fails(*args, error=error, **kwargs):
            raise error
        monkeypatch.setattr('fuzz.event_files.read_events', fails)
        assert words in judge(path, events, 0, False, 'raise')
    for key, value in (('t', -1), ('x', 65535)):
        bad = events.copy()
        bad[key][0] = value
        monkeypatch.setattr('fuzz.event_files.read_events',
                            lambda *args, bad=bad, **kwargs: bad)
        assert judge(path, bad, 400, False, 'raise').startswith('wrong')
