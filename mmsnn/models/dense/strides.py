"""Says what to do where upstream code fails on maps of equal strides."""

import sys
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import nn

#: What PyTorch says of tensors of different sizes.
_OF_SIZES = ('must match', 'equal size')


def explain_strides(module: nn.Module) -> nn.Module:
    """Let errors about sizes of maps name the key that changes them.

    Some necks and heads (path aggregation, panoptic and mask features) double
    a map and join it with the next: each must have half the sides of the one
    before. The last stages of spiking backbones share a stride, and upstream
    then fails inside of some layer.

    Args:
        module (nn.Module): A neck or head, or a whole model, of which the
            parts are meant.

    Returns:
        nn.Module: The same module, with a hook.

    Example:
        >>> class Join(nn.Module):
        ...     def forward(self, maps):
        ...         up = nn.functional.interpolate(maps[1], scale_factor=2)
        ...         return maps[0] + up
        >>> join = explain_strides(Join())
        >>> join([torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4)])
        Traceback (most recent call last):
            ...
        RuntimeError: Join joins maps of which each has half the sides of ...
    """
    for part in module.children() if isinstance(module,
                                                BaseModel) else [module]:
        part.register_forward_hook(_explain, always_call=True)
    return module


def _explain(module: nn.Module, args: tuple, output: Any) -> None:
    error = sys.exc_info()[1]
    if (output is not None or not isinstance(error, RuntimeError)
            or not any(words in str(error) for words in _OF_SIZES)):
        return
    sides = [tuple(x.shape[2:]) for x in _maps(args)]
    if len(sides) < 2:
        return
    what = (f'{type(module).__name__} joins maps of which each has half the '
            'sides of the one before, but these have '
            f'{", ".join(f"{h} x {w}" for h, w in sides)}')
    if any(b != tuple(-(-side // 2) for side in a)
           for a, b in zip(sides, sides[1:])):
        todo = ('give the backbone strides that double, such as '
                'out_strides=(8, 16, 32)')
    elif any(side % 2 for a in sides[:-1] for side in a):
        todo = ('give the data preprocessor a pad_size_divisor that all '
                'strides divide, such as 32')
    else:
        return
    error.args = (f'{what}: {todo} ({error})', )


def _maps(args: tuple) -> list[torch.Tensor]:
    """The maps that a module reads: its first argument, if it is several."""
    first = args[0] if args else ()
    if not isinstance(first, (list, tuple)):
        return []
    return [x for x in first if isinstance(x, torch.Tensor) and x.dim() == 4]
