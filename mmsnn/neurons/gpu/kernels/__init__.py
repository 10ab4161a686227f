"""The neurons' Triton kernels.

The definition is the plain PyTorch path: ``quantizer.py``,
``SpikingNeuron.unroll``, ``surrogate.py``, ``integrate.py``. The kernels
compute the same, operation by operation: nothing is contracted (they are
launched with ``enable_fp_fusion=False``), divisions round to nearest, half
types are computed in float32 and rounded where PyTorch stores them.

Importing this package imports Triton; :func:`..device.load` does it when the
first kernel is wanted.
"""

import torch
import triton.language as tl

from .counting import count_kernel
from .sfa import (
    fire_back_kernel,
    fire_kernel,
    pack_kernel,
    train_kernel,
    unpack_kernel,
)
from .temporal import time_kernel
from .temporal_back import time_back_kernel, time_recompute_back_kernel

#: In what a tensor's numbers are computed with.
REAL = {
    dtype: tl.float64 if dtype is torch.float64 else tl.float32
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}

__all__ = [
    'REAL', 'count_kernel', 'fire_back_kernel', 'fire_kernel', 'pack_kernel',
    'time_back_kernel', 'time_kernel', 'time_recompute_back_kernel',
    'train_kernel', 'unpack_kernel'
]
