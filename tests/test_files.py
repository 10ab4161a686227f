import errno
import json
from pathlib import Path

import pytest

from mmsnn.files import (
    dump_json,
    naming_full_disk,
    whole_file,
    write_whole,
)


def test_a_file_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / 'x.json'
    dump_json(path, [1, 2])
    with pytest.raises(TypeError):
        dump_json(path, [Path()])
    with pytest.raises(KeyError), whole_file(path) as part:
        part.write_text('half')
        raise KeyError
    assert json.loads(path.read_text()) == [1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_has_the_suffix(tmp_path):
    # matplotlib, torch and cv2 choose a format by it
    with whole_file(tmp_path / 'new' / 'a.png') as part:
        assert part.suffix == '.png'
        assert part.parent == tmp_path / 'new'
        part.touch()
    assert [p.name for p in (tmp_path / 'new').iterdir()] == ['a.png']


@pytest.mark.parametrize('content', ['Grün', 'Grün'.encode()])
def test_text_is_utf_8(tmp_path, content):
    write_whole(tmp_path / 'x', content)
    assert (tmp_path / 'x').read_bytes() == b'Gr\xc3\xbcn'


@pytest.mark.parametrize('number, name, said', [
    (errno.ENOSPC, None, 'disk full: a file in runs/a could not be written'),
    (errno.EDQUOT, 'b.log', 'disk full: b.log could not be written'),
    (errno.EACCES, 'b.log', 'no'),
])
def test_a_disk_that_is_full_is_said(number, name, said):
    with pytest.raises(OSError) as error, naming_full_disk('runs/a'):
        raise OSError(number, 'no', name)
    assert error.value.errno == number and error.value.strerror == said


def test_a_file_that_is_named_already_is_left():
    with pytest.raises(OSError, match='disk full: c$'), naming_full_disk('a'):
        raise OSError(errno.ENOSPC, 'disk full: c')
