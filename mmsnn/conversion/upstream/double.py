"""Upstream code in float64."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from mmsnn.conversion.spikes.writes import written
from mmsnn.conversion.upstream.mmcv_dispatch import MmcvOpMode
from mmsnn.conversion.upstream.nested import tensors

aten = torch.ops.aten

#: Compiled ops of mmcv that refuse float64, and which argument they write.
_FLOAT32_ONLY = dict(nms=None, softnms=2)

#: What is replaced by float64.
_SHORT = (torch.float32, torch.float16, torch.bfloat16)


class DoublePrecision(MmcvOpMode):
    """Lets whole models run in float64, whatever upstream code asks for.

    Much of it makes float32 tensors (``torch.zeros(n)``), or casts to it
    (``x.float()``, ``cumsum(dtype=torch.float32)``). In here these are
    float64. A float32 tensor from outside, such as the input or an attribute
    that is no buffer, is converted where an op reads it with a float64 one;
    what an op writes into keeps its type. Only compiled ops of mmcv that
    refuse float64 get float32: NMS.

    Example:
        >>> position = torch.arange(3.)
        >>> with DoublePrecision():
        ...     x = torch.ones(3).double().cumsum(0, dtype=torch.float32)
        ...     y = x.float() + position
        >>> x.dtype, y.dtype
        (torch.float64, torch.float64)
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __init__(self) -> None:
        super().__init__()
        self._off = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self._off:
            return func(*args, **kwargs)
        if kwargs.get('dtype') in _SHORT:
            kwargs = dict(kwargs, dtype=torch.float64)
        found = {x.dtype for x in tensors((args, kwargs))}
        short = found.intersection(_SHORT)
        writes = func._schema.is_mutable
        if short and torch.float64 in found:
            wanted = torch.float64
            if writes:
                wanted = next(chain(written(func, args, kwargs),
                                    tensors((args, kwargs)))).dtype
            if wanted.is_floating_point:
                args, kwargs = tree_map(
                    lambda x: _to(x, wanted), (args, kwargs))
        out = func(*args, **kwargs)
        if func is _FROM_NUMBERS or not (writes or func.is_view or short):
            return tree_map(lambda x: _to(x, torch.float64), out)
        return out

    @contextmanager
    def _as_given(self) -> Iterator[None]:
        """Context in which types stay what they are."""
        before, self._off = self._off, True
        try:
            yield
        finally:
            self._off = before

    def run_mmcv_op(self, name, call, args, kwargs):
        """See :meth:`.MmcvOpMode.run_mmcv_op`."""
        with self._as_given():
            if name in _FLOAT32_ONLY:
                single, kwargs = tree_map(
                    lambda x: _to(x, torch.float32), (args, kwargs))
                out = call(*single, **kwargs)
                place = _FLOAT32_ONLY[name]
                if place is not None:
                    args[place].copy_(single[place])
                return out
            found = {x.dtype for x in tensors((args, kwargs))}
            if torch.float64 not in found or not found.intersection(_SHORT):
                return call(*args, **kwargs)
            double = tree_map(lambda x: _to(x, torch.float64), (args, kwargs))
            out = call(*double[0], **double[1])
            for x, y in zip(tensors((args, kwargs)), tensors(double)):
                if x is not y:  # it may have been written into
                    x.copy_(y)
            return out


class SameTypes(TorchFunctionMode):
    """Converts as :class:`DoublePrecision`, where PyTorch compares types
    before a dispatch mode sees the op.

    Example:
        >>> weight = torch.ones(1, 1, 1, dtype=torch.float64)
        >>> with SameTypes():
        ...     torch.conv1d(torch.ones(1, 1, 2), weight).dtype
        torch.float64
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    _COMPARING = (torch.conv1d, torch.conv2d, torch.conv3d,
                  torch.conv_transpose1d, torch.conv_transpose2d,
                  torch.conv_transpose3d,
                  nn.functional.scaled_dot_product_attention)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self._COMPARING and torch.float64 in {
                x.dtype for x in tensors((args, kwargs))}:
            args, kwargs = tree_map(
                lambda x: _to(x, torch.float64), (args, kwargs))
        return func(*args, **kwargs)


#: Makes a tensor of Python numbers, or of an array.
_FROM_NUMBERS = aten.lift_fresh.default


def _to(x: Any, dtype: torch.dtype) -> Any:
    """Another floating-point type, for a tensor of such a type."""
    if isinstance(x, torch.Tensor) and x.is_floating_point() and (
            x.dtype != dtype):
        return x.to(dtype)
    return x


@contextmanager
def in_its_precision(model: nn.Module) -> Iterator[None]:
    """Context in which a model can run, whatever floating-point type it has.

    In there, convolutions and products of float32 have all its digits.
    PyTorch lets GPUs round operands to 11 binary digits (TF32), by default
    those of convolutions: folded weights round to others than unfolded ones,
    and potentials fall on the other side of thresholds.

    Args:
        model (nn.Module): The model; the type of its first parameter counts.

    Yields:
        None: With :class:`DoublePrecision` for float64.
    """
    if precision(model) == torch.float64:
        with DoublePrecision(), SameTypes():
            yield
    else:
        with _whole_operands():
            yield


@contextmanager
def _whole_operands() -> Iterator[None]:
    """Context in which float32 operands are not rounded."""
    cudnn = torch.backends.cudnn
    try:
        before = cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError as error:
        # From PyTorch 2.9 on there are settings by backend and operation,
        # beside which these can not be read.
        raise RuntimeError(
            'torch.backends...fp32_precision is set, and a spiking model is '
            'evaluated without TF32: set torch.backends.cudnn.allow_tf32 and '
            'torch.set_float32_matmul_precision instead') from error
    try:
        cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision('highest')
        yield
    finally:
        cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def precision(model: nn.Module) -> torch.dtype:
    """Floating-point type of a model's parameters.

    Args:
        model (nn.Module): The model; its first parameter counts.

    Returns:
        torch.dtype: PyTorch's default type if it has no parameter.

    Example:
        >>> precision(nn.Linear(2, 3).double())
        torch.float64
    """
    return next(model.parameters(), torch.empty(0)).dtype
