"""Where the kernels run, and how they are launched."""

import functools
import logging
import os
from math import frexp
from types import ModuleType

import torch
from mmengine.logging import print_log

from .. import native

#: Types of numbers that the kernels compute with.
TYPES = torch.float32, torch.float64, torch.float16, torch.bfloat16
#: Bytes of a block of numbers: one load of 16 for each of 256 threads.
_BLOCK_BYTES = 4096
#: From here on offsets are 64 bits wide, so that none of a whole grid's
#: blocks is beyond 2^31.
_LONG = 2**30


def usable(tensor: torch.Tensor) -> bool:
    """Whether the kernels can run on a tensor.

    Args:
        tensor (Tensor): Any tensor, however it lies in memory.

    Returns:
        bool: Whether it is a plain tensor of floating-point numbers on an
        NVIDIA GPU, nothing follows operations (:func:`..native.is_followed`),
        and the kernels work there. Why not is said once by the log, unless
        the tensor is on the CPU.

    Example:
        >>> usable(torch.zeros(2))
        False
    """
    if tensor.is_cpu or tensor.is_meta:
        return False
    return readable(tensor) and works(tensor.device.type, tensor.device.index)


def readable(tensor: torch.Tensor) -> bool:
    """Whether a kernel sees all of a tensor, wherever that is.

    Args:
        tensor (Tensor): Any tensor.

    Returns:
        bool: Whether it is a plain tensor of floating-point numbers, and
        nothing follows operations.

    Example:
        >>> readable(torch.zeros(2)), readable(torch.zeros(2).int())
        (True, False)
    """
    # Asked first, since torch.compile can not follow the others.
    return (not native.is_followed() and native.is_plain(tensor)
            and tensor.dtype in TYPES)


@functools.cache
def load() -> ModuleType:
    """The kernels, which are imported now.

    Returns:
        ModuleType: :mod:`mmsnn.neurons.gpu.kernels`.

    Raises:
        ImportError: There is no Triton.
    """
    from . import kernels
    return kernels


@functools.cache
def works(kind: str, index: int | None) -> bool:
    """Whether the kernels work on a device. Why not is said once by the log.

    Args:
        kind (str): Type of the device.
        index (int, optional): Its number.

    Returns:
        bool: Whether a kernel gave the right counts there.

    Raises:
        RuntimeError: If they are tried while a CUDA graph is captured, which
            can not compile and wait.
    """
    if os.environ.get('MMSNN_NATIVE', '1') == '0':
        return False
    try:
        if kind != 'cuda' or torch.version.hip:
            raise OSError('they are for NVIDIA GPUs')
        if torch.cuda.get_device_capability(index) < (8, 0):
            raise OSError('they need compute capability 8.0')
        load()
        capturing = torch.cuda.is_current_stream_capturing()
        if not capturing:
            _try(torch.device(kind, index))
    except Exception as error:  # whatever Triton, its compiler or driver say
        print_log(
            f'the neurons have no kernels on {kind}, plain PyTorch is used, '
            f'which is slower: {type(error).__name__}: {error}',
            logger='current',
            level=logging.WARNING)
        return False
    if capturing:  # nothing is cached of a call that raises
        raise RuntimeError(
            'the neurons fire for the first time while a CUDA graph is '
            'captured, when their kernels can not be compiled: run the model '
            'once before the capture, with the same input and gradients')
    return True


def _try(device: torch.device) -> None:
    from .sfa import fire
    with torch.no_grad():
        counts = fire(torch.tensor([0.4, 1.5], device=device), 4, 1.0)
    if counts.tolist() != [0, 2]:
        raise ArithmeticError(f'0.4 and 1.5 give the counts {counts}')


def launch(kernel, programs: int, *arguments, num_warps: int = 8,
           **constants) -> None:
    """Launch a kernel on the device of its first argument.

    Args:
        kernel (Callable): One of :mod:`.kernels`.
        programs (int): Size of the grid; 0 launches nothing.
        *arguments: Tensors and whole numbers, in the kernel's order.
        num_warps (int): Warps of a program. Defaults to 8.
        **constants: What it is compiled for.
    """
    if not programs:
        return
    first = arguments[0]
    # Nothing is contracted: each operation rounds as PyTorch's does.
    constants.update(num_warps=num_warps, enable_fp_fusion=False)
    if first.is_cuda and first.get_device() != torch.cuda.current_device():
        with torch.cuda.device(first.device):
            kernel[(programs, )](*arguments, **constants)
    else:
        kernel[(programs, )](*arguments, **constants)


def grid(tensor: torch.Tensor) -> tuple[int, int, bool]:
    """How the elements of a tensor are shared out.

    Args:
        tensor (Tensor): Any tensor.

    Returns:
        tuple[int, int, bool]: Elements of a block, number of blocks, and
        whether offsets are 64 bits wide.

    Example:
        >>> grid(torch.zeros(3000, dtype=torch.float16))
        (2048, 2, False)
    """
    block, n = _BLOCK_BYTES // tensor.element_size(), tensor.numel()
    return block, -(-n // block), n >= _LONG


def rows(tensor: torch.Tensor, samples: int, size: int) -> tuple[int, dict]:
    """The same for samples, one behind the other.

    Args:
        tensor (Tensor): Any tensor.
        samples (int): Number of samples.
        size (int): Elements of a sample.

    Returns:
        tuple[int, dict]: Number of blocks; and what kernels are told:
        elements of a block, whether it may be of several samples, whether
        offsets are 64 bits wide.

    Example:
        >>> rows(torch.zeros(3, 2, 100), 3, 100)
        (1, {'FLAT': True, 'LONG': False, 'BLOCK': 512})
        >>> rows(torch.zeros(3, 2, 3000), 3, 3000)
        (9, {'FLAT': False, 'LONG': False, 'BLOCK': 1024})
    """
    most = _BLOCK_BYTES // tensor.element_size()
    flat = size < most
    n = samples * size if flat else size
    block = min(most, max(32, 1 << (n - 1).bit_length()))
    blocks = -(-n // block) * (1 if flat else samples)
    return blocks, dict(
        FLAT=flat, LONG=tensor.numel() >= _LONG, BLOCK=block)


@functools.cache
def resident(device: torch.device) -> int:
    """Programs that fill a device when each takes many blocks.

    Args:
        device (torch.device): Any device.

    Returns:
        int: Eight for each of a GPU's processors.
    """
    if device.type != 'cuda':
        return 2
    return 8 * torch.cuda.get_device_properties(device).multi_processor_count


@functools.cache
def threshold_constants(threshold: float) -> dict:
    """What kernels are told of a threshold.

    Args:
        threshold (float): The threshold.

    Returns:
        dict: It, and its inverse where that is exact.

    Example:
        >>> threshold_constants(0.5), threshold_constants(0.75)
        ({'THRESHOLD': 0.5, 'INVERSE': 2.0},
         {'THRESHOLD': 0.75, 'INVERSE': None})
    """
    exact = frexp(threshold)[0] == 0.5
    return dict(
        THRESHOLD=threshold, INVERSE=1 / threshold if exact else None)


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor whose elements fill one piece of memory.

    Args:
        tensor (Tensor): Any tensor.

    Returns:
        Tensor: Itself, or a copy with the axes in the same order.

    Example:
        >>> x = torch.zeros(2, 3, 4).transpose(0, 2)
        >>> dense(x) is x, dense(x[::2]).stride()
        (True, (1, 2, 6))
    """
    if native.is_dense(tensor):
        return tensor
    empty = torch.empty_like(tensor)
    return tensor if empty.stride() == tensor.stride() else empty.copy_(tensor)


def laid_out(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A tensor laid out in memory as a dense one.

    Args:
        tensor (Tensor): Any tensor.
        like (Tensor): A dense tensor of the same shape.

    Returns:
        Tensor: Itself, or a copy.

    Example:
        >>> x = torch.ones(2, 3)
        >>> laid_out(x, x) is x, laid_out(x.mT, x.view(3, 2)).stride()
        (True, (2, 1))
    """
    if tensor.stride() == like.stride() or (tensor.is_contiguous()
                                            and like.is_contiguous()):
        return tensor
    return torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
