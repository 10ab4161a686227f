"""Memory of the process."""

import ctypes
import sys
from functools import cache

from mmsnn.neurons.ops import constant_when_compiled

#: Parameters of glibc's ``mallopt`` (malloc.h).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


@constant_when_compiled
def keep_freed_memory(limit: int = 2**30) -> bool:
    """Let the process reuse freed memory instead of giving it back.

    glibc asks the kernel for fresh, zeroed pages for each block over 32 MB
    and returns them when it is freed. The feature maps of a large image are
    such blocks, so that inference on CPU spends much of its time on page
    faults. The setting is for the whole process.

    Args:
        limit (int): Bytes to keep at most at the end of the heap. Defaults
            to 1 GiB.

    Returns:
        bool: Whether the C library has this setting (glibc on Linux).

    Example:
        >>> keep_freed_memory() in (True, False)
        True
    """
    return _set_limit(limit)


@cache
def _set_limit(limit: int) -> bool:
    if not sys.platform.startswith('linux'):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, limit))
