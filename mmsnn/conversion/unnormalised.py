"""The output of a synapse whose norm is folded, on its way to the norm."""

from collections.abc import Callable
from typing import Any, NoReturn

import torch

from mmsnn.conversion.upstream.nested import tensors

Tensor = torch.Tensor


class Unnormalised(Tensor):
    """Stands for the output of a synapse whose norm is folded into it.

    The synapse has computed what its norm would return. Until the norm is
    run, nothing else may read that: it is not what the synapse would return
    without the fold. Shape, type and device can be asked for.

    Args:
        normalised (Tensor): What the synapse has computed.
        read (Callable): Called with the name of an op that reads this, or
            writes into it; raises.

    Attributes:
        normalised (Tensor): The same.

    Example:
        >>> def read(op):
        ...     raise RuntimeError(f'{op} reads it')
        >>> x = Unnormalised(torch.ones(2, 3), read)
        >>> x.shape, x.dtype, x.normalised.sum()
        (torch.Size([2, 3]), torch.float32, tensor(6.))
        >>> x.sum()
        Traceback (most recent call last):
        RuntimeError: sum reads it
    """

    @staticmethod
    def __new__(cls, normalised: Tensor,
                read: Callable[[str], NoReturn]) -> 'Unnormalised':
        """Make a tensor that has no memory."""
        self = Tensor._make_wrapper_subclass(
            cls, normalised.shape, strides=normalised.stride(),
            dtype=normalised.dtype, device=normalised.device)
        self.normalised = normalised
        self._read = read
        return self

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            if func in _KINDS:
                return func(*args, **(kwargs or {}))
            _refuse(getattr(func, '__name__', str(func)), (args, kwargs))

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        _refuse(func.overloadpacket.__name__, (args, kwargs))


def _refuse(op: str, arguments: Any) -> NoReturn:
    found = [x for x in tensors(arguments) if isinstance(x, Unnormalised)]
    if not found:
        raise RuntimeError(f'{op} reads the output of a synapse whose norm is '
                           'folded, from arguments that are no lists, tuples '
                           'or dicts: give it the tensor itself')
    found[0]._read(op)
    raise AssertionError('it has to raise')


def _getter(name: str) -> Callable:
    return getattr(Tensor, name).__get__


#: What says of which kind a tensor is, and reads no values.
_KINDS = frozenset([
    Tensor.size, Tensor.dim, Tensor.numel, Tensor.nelement, Tensor.stride,
    Tensor.ndimension, Tensor.__len__, Tensor.__hash__, Tensor.is_contiguous,
    Tensor.is_floating_point, Tensor.is_complex, Tensor.element_size,
    Tensor.get_device, torch.is_floating_point, torch.is_complex, torch.numel,
    *map(_getter, ('shape', 'ndim', 'dtype', 'device', 'layout', 'is_cuda',
                   'is_sparse', 'is_quantized', 'is_nested', 'is_meta',
                   'requires_grad', 'is_leaf', 'grad_fn', '_version'))])
