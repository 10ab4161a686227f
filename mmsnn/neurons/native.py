"""Loads the fused CPU kernels, compiling them once per machine.

The kernels are plain C, so that a C compiler and a few seconds are all that
is needed. The library is kept in a cache folder (``MMSNN_CACHE``, by default
``~/.cache/mmsnn``) under a name that holds the source's digest and the
processor. Without a compiler the plain PyTorch definition is used: same
numbers, slower. ``MMSNN_NATIVE=0`` switches the kernels off.

Run ``python -m mmsnn.neurons.native`` to compile now and see what happened.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Optional

import torch

SOURCES = sorted(Path(__file__).parent.glob('*.[ch]'))
#: No ``-ffast-math``, no fused multiply-add: NaN must pass through and every
#: operation must round as PyTorch's does.
FLAGS = ('-O3', '-march=native', '-fno-math-errno', '-fno-trapping-math',
         '-ffp-contract=off', '-shared', '-fPIC')
DTYPES = {
    torch.float32: 'f32',
    torch.float64: 'f64',
    torch.bfloat16: 'bf16'
}


def cache_dir() -> Path:
    """Folder for what mmsnn computes once per machine."""
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


def _compile(target: Path) -> None:
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
                str(part), *(str(s) for s in SOURCES if s.suffix == '.c'),
                '-lm'
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                break
        else:
            raise OSError(f'{" ".join(command)} failed: {done.stderr.strip()}')
        os.replace(part, target)


@functools.lru_cache(maxsize=None)
def load() -> Optional[ctypes.CDLL]:
    """The kernels, or None where they can't be had (:func:`main` says why)."""
    try:
        return _load()
    except OSError:
        return None


def _load() -> ctypes.CDLL:
    if os.environ.get('MMSNN_NATIVE', '1') == '0':
        raise OSError('MMSNN_NATIVE=0 switches the native kernels off')
    digest = hashlib.sha256(
        b''.join(source.read_bytes() for source in SOURCES) +
        (_processor() + ' '.join(FLAGS)).encode()).hexdigest()[:16]
    target = cache_dir() / 'native' / f'sfa-{digest}.so'
    if not target.exists():
        _compile(target)
    try:
        library = ctypes.CDLL(str(target))
    except OSError:  # damaged: make it anew
        _compile(target)
        library = ctypes.CDLL(str(target))
    pointer, i64, f64 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    for suffix in DTYPES.values():
        for name, arguments in (
            ('forward', [pointer, pointer, pointer, i64, f64, f64]),
            ('backward', [pointer, pointer, pointer, i64, f64]),
            ('nonfinite', [pointer, i64, pointer]),
            ('count', [pointer, pointer, i64, i64, f64, pointer, pointer,
                       pointer, i64, i64, pointer]),
            ('levels', [pointer, i64, i64, f64, pointer]),
            ('sums', [pointer, i64, i64, pointer]),
            ('last_sums', [pointer, i64, i64, i64, pointer])):
            function = getattr(library, f'sfa_{name}_{suffix}')
            function.argtypes = [*arguments, ctypes.c_int]
            function.restype = None
        for name, pointers in (('time_forward', 7), ('time_backward', 9)):
            function = getattr(library, f'sfa_{name}_{suffix}')
            function.argtypes = [pointer] * pointers
            function.restype = None
    return library


def usable(tensor: torch.Tensor) -> bool:
    """Whether a kernel can run on the memory of ``tensor`` as it lies."""
    return (not torch.compiler.is_compiling()
            and type(tensor) in (torch.Tensor, torch.nn.Parameter)
            and tensor.device.type == 'cpu' and tensor.dtype in DTYPES
            and is_dense(tensor) and load() is not None)


def is_dense(tensor: torch.Tensor) -> bool:
    """Whether the elements fill one piece of memory, in any order."""
    return tensor.is_contiguous() or (
        tensor.dim() == 4
        and tensor.is_contiguous(memory_format=torch.channels_last))


def kernel(name: str, dtype: torch.dtype):
    """The kernel ``sfa_{name}`` for ``dtype``."""
    return getattr(load(), f'sfa_{name}_{DTYPES[dtype]}')


def main() -> None:
    """Say whether the kernels are in use, and why not where they aren't."""
    try:
        print(f'native SFA kernels: {_load()._name}')
    except OSError as error:
        print(f'native SFA kernels are not used, plain PyTorch is: {error}')


if __name__ == '__main__':
    main()
