"""Compiles C kernels once per machine and loads them.

The kernels are plain C, so that a C compiler and a few seconds are all that
is needed. A library is kept in a cache folder (``MMSNN_CACHE``, by default
``~/.cache/mmsnn``) under a name that holds two digests: of its sources with
the processor, and of its own bytes. One whose bytes have another digest (cut
off, changed) is never loaded, but built anew. ``MMSNN_NATIVE=0`` switches all
kernels off; what has kernels also works without.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from .files import whole_file

#: No ``-ffast-math``, no fused multiply-add: NaN must pass through and every
#: operation must round as PyTorch's and NumPy's does.
FLAGS = ('-O3', '-march=native', '-fno-math-errno', '-fno-trapping-math',
         '-ffp-contract=off', '-shared', '-fPIC')


def cache_dir() -> Path:
    """Folder for what mmsnn computes once per machine.

    Returns:
        Path: ``MMSNN_CACHE`` if that is set, else ``~/.cache/mmsnn``.

    Raises:
        OSError: There is no home folder.
    """
    root = os.environ.get('MMSNN_CACHE')
    if root:
        return Path(root)
    try:
        return Path.home() / '.cache' / 'mmsnn'
    except RuntimeError as error:
        raise OSError('there is no home folder for the cache: set MMSNN_CACHE '
                      'to a folder') from error


def _processor() -> str:
    """What ``-march=native`` depends on."""
    text = platform.machine() + platform.processor()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        text += ''.join(
            sorted({
                line
                for line in cpuinfo.read_text().splitlines()
                if line.startswith(('model name', 'flags', 'Features'))
            }))
    return text


def _words(command: str) -> list[str]:
    """Words of a command; one that is a program's path stays whole."""
    if shutil.which(command):
        return [command]
    try:
        return shlex.split(command)
    except ValueError as error:
        raise OSError(f'CC={command!r} is no command: {error}') from None


def _compile(target: Path, sources: list[Path]) -> None:
    # CC may have options or a wrapper before it: "ccache gcc".
    compiler = _words(os.environ.get('CC', '')) or [
        found for name in ('cc', 'gcc', 'clang')
        if (found := shutil.which(name))][:1]
    if not compiler:
        raise OSError('no C compiler (cc, gcc or clang) was found')
    for openmp in (('-fopenmp', ), ()):
        command = [
            *compiler, *FLAGS, *openmp, '-o',
            str(target), *(str(s) for s in sources if s.suffix == '.c'), '-lm'
        ]
        # It may speak another encoding than Python expects.
        done = subprocess.run(command, capture_output=True, text=True,
                              errors='replace')
        if done.returncode == 0:
            return
    raise OSError(f'{" ".join(command)} failed: {done.stderr.strip()}')


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _is_whole(library: Path) -> bool:
    """Whether a file has the bytes that its name says. A library that was
    cut off must not be loaded: reading it ends the process."""
    try:
        return library.is_file() and library.stem.endswith(
            f'-{_digest(library.read_bytes())}')
    except OSError:
        return False


def _first_loaded(libraries: Iterator[Path]) -> ctypes.CDLL | None:
    for library in libraries:
        try:
            return ctypes.CDLL(str(library))
        except OSError:  # from a folder whose files must not be run
            continue
    return None


def _is_off() -> bool:
    return os.environ.get('MMSNN_NATIVE', '1') == '0'


class Kernels:
    """The C kernels of a folder as one library.

    Args:
        name (str): What they are called in messages; in lower case, the
            library's file name begins with it.
        folder (Path): Holds the sources, ``*.c`` and ``*.h``.
        declare (Callable[[ctypes.CDLL], None]): Declares the argument types
            of the library's functions.
        otherwise (str): What is used without them, for messages.

    Attributes:
        load (Callable[[], ctypes.CDLL | None]): Gives the library, None where
            it can't be had, of which it warns once. What it has given once
            is kept, up to ``load.cache_clear()``.
    """

    def __init__(self, name: str, folder: Path,
                 declare: Callable[[ctypes.CDLL], None],
                 otherwise: str) -> None:
        self.name = name
        self.folder = folder
        self.declare = declare
        self.otherwise = otherwise
        self.load = functools.cache(self._load)

    def open(self) -> ctypes.CDLL:
        """Load the library, which is compiled now or kept from before.

        Returns:
            ctypes.CDLL: The library.

        Raises:
            OSError: It can't be had; the message says why.
        """
        if _is_off():
            raise OSError('MMSNN_NATIVE=0 switches the native kernels off')
        sources = sorted(self.folder.glob('*.[ch]'))
        digest = _digest(b''.join(source.read_bytes() for source in sources) +
                         (_processor() + ' '.join(FLAGS)).encode())
        folder = cache_dir() / 'native'
        stem = f'{self.name.lower()}-{digest}'
        kept = filter(_is_whole, sorted(folder.glob(f'{stem}-*.so')))
        library = _first_loaded(kept)
        if library is None:
            library = self._build(sources, folder, stem)
        self.declare(library)
        return library

    def _build(self, sources: list[Path], folder: Path,
               stem: str) -> ctypes.CDLL:
        """Compile into a folder of this process alone, then put a copy into
        the cache, under its final name when it is whole."""
        with tempfile.TemporaryDirectory(prefix='mmsnn-') as room:
            built = Path(room) / f'{stem}.so'
            _compile(built, sources)
            kept = folder / f'{stem}-{_digest(built.read_bytes())}.so'
            try:
                with whole_file(kept) as part:
                    shutil.copy(built, part)
                if not _is_whole(kept):
                    raise OSError(f'{kept} has other bytes than were written')
                return ctypes.CDLL(str(kept))
            except OSError as error:
                warnings.warn(
                    f'the {self.name} kernels can not be kept in the cache '
                    f'folder {folder} ({error}): each process compiles them '
                    'anew; set MMSNN_CACHE to a folder where files can be '
                    'written and run', stacklevel=2)
                # It stays in memory when the file is gone.
                return ctypes.CDLL(str(built))

    def _load(self) -> ctypes.CDLL | None:
        try:
            return self.open()
        except OSError as error:
            if not _is_off():
                warnings.warn(
                    f'the {self.name} kernels can not be used, '
                    f'{self.otherwise} is, which is slower: {error}',
                    stacklevel=2)
            return None

    def say(self) -> None:
        """Print whether the kernels are in use, and why not otherwise."""
        try:
            print(f'native {self.name} kernels: {self.open()._name}')
        except OSError as error:
            print(f'native {self.name} kernels are not used, '
                  f'{self.otherwise} is: {error}')
