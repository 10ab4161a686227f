"""Upstream code in float64."""

from contextlib import nullcontext

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

#: Compiled ops of mmcv that refuse float64, and which argument they write.
_FLOAT32_ONLY = dict(nms=None, softnms=2)


class DoublePrecision(TorchDispatchMode):
    """Lets whole models run in float64.

    Only ops of upstream that refuse float64 get float32: mmcv's NMS, and the
    pasting of masks, which are float32 and sampled on a float64 grid.

    Example:
        >>> mask, grid = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 1, 2)
        >>> with DoublePrecision():
        ...     torch.nn.functional.grid_sample(
        ...         mask, grid.double(), align_corners=False).item()
        1.0
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket is torch.ops.aten.grid_sampler_2d:
            image, grid, *rest = args
            args = (image, grid.to(image.dtype), *rest)
        return func(*args, **(kwargs or {}))

    def run_mmcv_op(self, name, call, args, kwargs):
        """Run a compiled op of mmcv; called by :class:`MmcvOp`.

        Args:
            name (str): Its name in ``mmcv._ext``.
            call (Callable): Runs it.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.

        Returns:
            What it returns.
        """
        if name not in _FLOAT32_ONLY:
            return call(*args, **kwargs)
        single, kwargs = tree_map(_to_single, (args, kwargs))
        out = call(*single, **kwargs)
        written = _FLOAT32_ONLY[name]
        if written is not None:
            args[written].copy_(single[written])
        return out


def _to_single(x):
    if isinstance(x, torch.Tensor) and x.dtype == torch.float64:
        return x.float()
    return x


def in_its_precision(model: nn.Module):
    """Context in which a model can run, whatever floating-point type it has.

    Args:
        model (nn.Module): The model; the type of its first parameter counts.

    Returns:
        ContextManager: :class:`DoublePrecision` for float64, or nothing.
    """
    if precision(model) == torch.float64:
        return DoublePrecision()
    return nullcontext()


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
