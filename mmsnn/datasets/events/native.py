"""The fused kernels on events (see :mod:`mmsnn.native`).

Without a compiler NumPy is used: same numbers, slower.

Run ``python -m mmsnn.datasets.events.native`` to compile now and see what
happened.
"""

import ctypes
from pathlib import Path

from mmsnn.native import Kernels


def _declare(library: ctypes.CDLL) -> None:
    pointer, i64 = ctypes.c_void_p, ctypes.c_int64
    library.events_histogram.argtypes = [
        pointer, pointer, i64, i64, i64, pointer
    ]
    library.events_histogram.restype = i64
    library.events_check.argtypes = [pointer, i64, i64, i64, i64, pointer]
    library.events_check.restype = None
    library.lz4_block.argtypes = [ctypes.c_char_p, i64, pointer, i64, i64]
    library.lz4_block.restype = i64
    library.xxh32.argtypes = [ctypes.c_char_p, i64]
    library.xxh32.restype = ctypes.c_uint32


KERNELS = Kernels('events', Path(__file__).parent, _declare, 'NumPy')
load, main = KERNELS.load, KERNELS.say

if __name__ == '__main__':
    main()
