"""Loads the fused kernels on events (see :mod:`mmsnn.native`).

Without a compiler NumPy is used: same numbers, slower.

Run ``python -m mmsnn.datasets.events.native`` to compile now and see what
happened.
"""

import ctypes
import functools
from pathlib import Path

from mmsnn.native import load_library, say


@functools.cache
def load() -> ctypes.CDLL | None:
    """The kernels, or None where they can't be had (:func:`main` says why)."""
    try:
        return _load()
    except OSError:
        return None


def _load() -> ctypes.CDLL:
    library = load_library('events', Path(__file__).parent)
    pointer, i64 = ctypes.c_void_p, ctypes.c_int64
    library.events_histogram.argtypes = [
        pointer, pointer, i64, i64, i64, pointer
    ]
    library.events_histogram.restype = i64
    library.events_check.argtypes = [pointer, i64, i64, i64, i64, pointer]
    library.events_check.restype = None
    return library


def main() -> None:
    """Say whether the kernels are in use, and why not where they aren't."""
    say('events', 'NumPy', _load)


if __name__ == '__main__':
    main()
