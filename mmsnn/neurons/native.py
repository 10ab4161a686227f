"""The neurons' fused CPU kernels (see :mod:`mmsnn.native`).

Without a compiler the plain PyTorch definition is used: same numbers, slower.

Run ``python -m mmsnn.neurons.native`` to compile now and see what happened.
"""

import ctypes
from pathlib import Path

import torch
from torch._C._functorch import is_legacy_batchedtensor
from torch._ops import _len_torch_dispatch_stack_pre_dispatch
from torch.autograd import forward_ad
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from mmsnn.native import Kernels

DTYPES = {
    torch.float32: 'f32',
    torch.float64: 'f64',
    torch.bfloat16: 'bf16'
}

#: Types of tensors of which a kernel sees all.
PLAIN = torch.Tensor, torch.nn.Parameter


def _declare(library: ctypes.CDLL) -> None:
    pointer, i64, f64 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    for suffix in DTYPES.values():
        for name, arguments in (
            ('forward', [pointer, pointer, i64, f64, f64]),
            ('nonfinite', [pointer, i64, pointer]),
            ('pack', [pointer] * 3 + [i64, i64, f64, f64, ctypes.c_int32]),
            ('pack_values', [pointer, pointer, i64, f64]),
            ('unpack', [pointer, pointer, i64, f64]),
            ('through_window', [pointer, pointer, pointer, i64, f64]),
            ('count', [pointer, pointer, i64, i64, f64, pointer, i64, i64,
                       pointer]),
            ('train', [pointer, pointer, i64, i64, f64]),
            ('levels', [pointer, i64, i64, f64, pointer]),
            ('sums', [pointer, i64, i64, pointer]),
            ('last_sums', [pointer, i64, i64, i64, pointer]),
            ('meetings', [pointer] * 7)):
            function = getattr(library, f'sfa_{name}_{suffix}')
            function.argtypes = [*arguments, ctypes.c_int]
            function.restype = None
        for name, pointers in (('time_forward', 6), ('time_backward', 10)):
            function = getattr(library, f'sfa_{name}_{suffix}')
            function.argtypes = [pointer] * pointers
            function.restype = None


KERNELS = Kernels('SFA', Path(__file__).parent, _declare, 'plain PyTorch')
load, main = KERNELS.load, KERNELS.say


def is_traced() -> bool:
    """Whether a function is made of the running operations.

    That is while ``torch.jit.trace`` or ``torch.onnx.export`` trace, inside
    ``torch.func`` transforms (``grad``, ``vmap``, ``jvp``) and in forward-mode
    differentiation. There, only PyTorch's own operations are understood.

    Returns:
        bool: Not under ``torch.compile``, which understands more.

    Example:
        >>> is_traced()
        False
    """
    return not torch.compiler.is_compiling() and _is_transformed()


def _is_transformed() -> bool:
    return (torch._C._is_tracing()
            or torch._C._are_functorch_transforms_active()
            or forward_ad._current_level >= 0)


def is_followed() -> bool:
    """Whether something follows PyTorch's operations, which sees no kernel.

    Besides :func:`is_traced`, that is any mode of PyTorch's dispatcher
    (``make_fx``, fake tensors, counters of operations). A mode that has the
    attribute ``allows_kernels`` does not count: it needs to see none of a
    neuron's operations.

    Returns:
        bool: Also under ``torch.compile`` and ``torch.export``.

    Example:
        >>> from torch.utils.flop_counter import FlopCounterMode
        >>> with FlopCounterMode(display=False):
        ...     is_followed()
        True
        >>> is_followed()
        False
    """
    if torch.compiler.is_compiling() or _is_transformed():
        return True
    if torch._C._len_torch_dispatch_stack() and not all(
            hasattr(mode, 'allows_kernels')
            for mode in _get_current_dispatch_mode_stack()):
        return True
    if torch._C._len_torch_function_stack() and not all(
            isinstance(mode, DeviceContext) or hasattr(mode, 'allows_kernels')
            for mode in _get_current_function_mode_stack()):
        return True
    return bool(_len_torch_dispatch_stack_pre_dispatch())


def is_plain(tensor: torch.Tensor) -> bool:
    """Whether a kernel that reads a tensor's memory sees all of it.

    Args:
        tensor (Tensor): Any tensor.

    Returns:
        bool: Whether it is of no class of its own, and no batch of gradients
        (``torch.autograd.grad(is_grads_batched=True)``), which has no memory.

    Example:
        >>> is_plain(torch.zeros(2))
        True
    """
    return type(tensor) in PLAIN and not is_legacy_batchedtensor(tensor)


def usable(tensor: torch.Tensor) -> bool:
    """Whether a kernel can run on a tensor as it lies in memory.

    Args:
        tensor (Tensor): Any tensor.

    Returns:
        bool: Whether it is a dense tensor of :data:`DTYPES` on CPU, nothing
        follows operations (:func:`is_followed`), and the kernels are loaded.

    Example:
        >>> usable(torch.zeros(2, dtype=torch.int64))
        False
    """
    return readable(tensor) and is_dense(tensor)


def readable(tensor: torch.Tensor) -> bool:
    """Whether a kernel that is told its strides can read a tensor.

    Args:
        tensor (Tensor): Any tensor.

    Returns:
        bool: As :func:`usable`, but for how it lies in memory.

    Example:
        >>> x = torch.zeros(2, 3)[:, ::2]
        >>> usable(x), readable(x)
        (False, True)
    """
    return (not is_followed() and is_plain(tensor) and tensor.is_cpu
            and tensor.dtype in DTYPES and load() is not None)


def is_dense(tensor: torch.Tensor) -> bool:
    """Whether the elements fill one piece of memory.

    Args:
        tensor (Tensor): Any tensor.

    Returns:
        bool: Whether it is contiguous, or (N, C, H, W) in channels-last
        layout.

    Example:
        >>> x = torch.zeros(2, 3, 4, 5)
        >>> is_dense(x[:, 1:]), is_dense(x.mT)
        (False, False)
        >>> is_dense(x.to(memory_format=torch.channels_last))
        True
    """
    return tensor.is_contiguous() or (
        tensor.dim() == 4
        and tensor.is_contiguous(memory_format=torch.channels_last))


def kernel(name: str, dtype: torch.dtype):
    """The kernel ``sfa_{name}`` for a type of numbers.

    Args:
        name (str): Its name, e.g. ``'forward'``.
        dtype (torch.dtype): One of :data:`DTYPES`.

    Returns:
        Callable: The function of the library, which must be loaded.
    """
    return getattr(load(), f'sfa_{name}_{DTYPES[dtype]}')


if __name__ == '__main__':
    main()
