"""Building C kernels: once per machine, whole or not at all."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmsnn.native import Kernels

pytestmark = pytest.mark.skipif(
    not os.environ.get('CC') and not any(
        map(shutil.which, ('cc', 'gcc', 'clang'))), reason='no C compiler')

LOAD = """
import sys
from pathlib import Path
from mmsnn.native import Kernels
kernels = Kernels('tiny', Path(sys.argv[1]), lambda library: None, 'nothing')
assert kernels.load().answer() == 42
"""


@pytest.fixture
def source(monkeypatch, tmp_path):
    """A folder with a kernel; an empty cache folder."""
    monkeypatch.setenv('MMSNN_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('MMSNN_NATIVE', raising=False)
    folder = tmp_path / 'source'
    folder.mkdir()
    (folder / 'tiny.c').write_text('int answer(void) { return 42; }')
    return folder


def tiny(source):
    def declare(library):
        library.answer.restype = ctypes.c_int

    return Kernels('tiny', source, declare, 'nothing')


def begin(source):
    return subprocess.Popen(
        [sys.executable, '-W', 'error', '-c', LOAD, source],
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1])})


def kept():
    return sorted(Path(os.environ['MMSNN_CACHE'], 'native').iterdir())


def test_compiled_once_and_kept(source, monkeypatch):
    assert tiny(source).load().answer() == 42
    assert [f.suffix for f in kept()] == ['.so']  # nothing half-written
    monkeypatch.setenv('CC', 'false')  # a compiler that always fails
    assert tiny(source).load().answer() == 42
    (source / 'tiny.c').write_text('int answer(void) { return 43; }')
    with pytest.warns(UserWarning, match='tiny kernels can not be used, '
                      'nothing is, which is slower: false'):
        assert tiny(source).load() is None


@pytest.mark.parametrize('size', [0, 100, 4096, -1])
def test_a_library_that_was_cut_off_is_built_anew(source, size):
    # In a process of its own: what loads such a library ends with SIGBUS.
    assert begin(source).wait() == 0
    library, = kept()
    content = library.read_bytes()
    library.write_bytes(content[:size])
    assert begin(source).wait() == 0
    assert [f.read_bytes() for f in kept()] == [content]


def test_a_library_with_another_byte_is_not_loaded(source, monkeypatch):
    assert begin(source).wait() == 0
    library, = kept()
    content = bytearray(library.read_bytes())
    content[-1] ^= 1
    library.write_bytes(content)
    monkeypatch.setenv('CC', 'false')
    with pytest.warns(UserWarning, match='can not be used'):
        assert tiny(source).load() is None


@pytest.mark.parametrize('broken', ['a file', 'read-only', 'full'])
def test_without_a_cache_it_is_compiled_for_this_process(
        source, monkeypatch, broken):
    folder = Path(os.environ['MMSNN_CACHE'])
    if broken == 'a file':
        folder.touch()
    elif broken == 'read-only':
        # Nobody can write there, not even root.
        monkeypatch.setenv('MMSNN_CACHE', '/proc/mmsnn')
    else:

        def full(*args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(shutil, 'copy', full)
    with pytest.warns(UserWarning, match='can not be kept .* MMSNN_CACHE'):
        assert tiny(source).load().answer() == 42
    assert not list(folder.rglob('*.so'))


def test_without_a_folder_that_can_be_written_there_are_none(
        source, monkeypatch):
    def none(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('tempfile.mkdtemp', none)
    with pytest.warns(UserWarning, match='can not be used.*No space left'):
        assert tiny(source).load() is None


def test_several_processes_build_at_once(source):
    processes = [begin(source) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert len(kept()) == 1


def test_a_compiler_with_options(source, monkeypatch):
    monkeypatch.setenv('CC', f'{shutil.which("env")} A=1 cc')
    assert tiny(source).load().answer() == 42


def test_a_compiler_that_says_no_text(source, monkeypatch, tmp_path):
    compiler = tmp_path / 'cc'
    compiler.write_text('#!/bin/sh\nprintf "\\377 is wrong" >&2\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv('CC', str(compiler))
    with pytest.warns(UserWarning, match='can not be used.* is wrong'):
        assert tiny(source).load() is None


def test_a_pipe_in_the_cache_is_not_read(source):
    assert begin(source).wait() == 0
    library, = kept()
    library.unlink()
    os.mkfifo(library)
    process = begin(source)
    try:
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
