"""Compiles C kernels once per machine and loads them.

The kernels are plain C, so that a C compiler and a few seconds are all that
is needed. A library is kept in a cache folder (``MMSNN_CACHE``, by default
``~/.cache/mmsnn``) under a name that holds the source's digest and the
processor. ``MMSNN_NATIVE=0`` switches all kernels off; what has kernels also
works without.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

#: No ``-ffast-math``, no fused multiply-add: NaN must pass through and every
#: operation must round as PyTorch's and NumPy's does.
FLAGS = ('-O3', '-march=native', '-fno-math-errno', '-fno-trapping-math',
         '-ffp-contract=off', '-shared', '-fPIC')


def cache_dir() -> Path:
    """Folder for what mmsnn computes once per machine.

    Returns:
        Path: ``MMSNN_CACHE`` if that is set, else ``~/.cache/mmsnn``.
    """
    root = os.environ.get('MMSNN_CACHE')
    return Path(root) if root else Path.home() / '.cache' / 'mmsnn'


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


def _compile(target: Path, sources: list[Path]) -> None:
    """Compile to a temporary name, then rename: never half a library."""
    compiler = os.environ.get('CC') or shutil.which('cc') or shutil.which(
        'gcc') or shutil.which('clang')
    if not compiler:
        raise OSError('no C compiler (cc, gcc or clang) was found')
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        for openmp in (('-fopenmp', ), ()):
            command = [
                compiler, *FLAGS, *openmp, '-o',
                str(part), *(str(s) for s in sources if s.suffix == '.c'),
                '-lm'
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                break
        else:
            raise OSError(f'{" ".join(command)} failed: {done.stderr.strip()}')
        os.replace(part, target)


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
            it can't be had (:meth:`say` tells why). What it has given once
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
        if os.environ.get('MMSNN_NATIVE', '1') == '0':
            raise OSError('MMSNN_NATIVE=0 switches the native kernels off')
        sources = sorted(self.folder.glob('*.[ch]'))
        digest = hashlib.sha256(
            b''.join(source.read_bytes() for source in sources) +
            (_processor() + ' '.join(FLAGS)).encode()).hexdigest()[:16]
        target = cache_dir() / 'native' / f'{self.name.lower()}-{digest}.so'
        if not target.exists():
            _compile(target, sources)
        try:
            library = ctypes.CDLL(str(target))
        except OSError:  # damaged: make it anew
            _compile(target, sources)
            library = ctypes.CDLL(str(target))
        self.declare(library)
        return library

    def _load(self) -> ctypes.CDLL | None:
        try:
            return self.open()
        except OSError:
            return None

    def say(self) -> None:
        """Print whether the kernels are in use, and why not otherwise."""
        try:
            print(f'native {self.name} kernels: {self.open()._name}')
        except OSError as error:
            print(f'native {self.name} kernels are not used, '
                  f'{self.otherwise} is: {error}')
