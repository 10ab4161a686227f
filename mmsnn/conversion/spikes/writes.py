"""Ops that write into spikes: those that only show them in another shape run
on them, all others are refused."""

import torch
from torch.utils._pytree import tree_leaves


def changes_shape(func) -> bool:
    """Whether an op changes the shape of a tensor in place, and no value.

    Args:
        func (OpOverload): The op.

    Example:
        >>> changes_shape(torch.ops.aten.squeeze_.dim)
        True
    """
    return torch.Tag.inplace_view in func.tags


def writes_into(kind: type, func, args: tuple, kwargs: dict) -> bool:
    """Whether what an op writes into is spikes.

    Args:
        kind (type): :class:`.SpikeTensor`.
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
    """
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        x = args[i] if i < len(args) else kwargs.get(argument.name)
        if any(isinstance(y, kind) for y in tree_leaves(x)):
            return True
    return False


def why_not(func) -> str:
    """Why an op does not write into spikes, and what to write instead.

    Args:
        func (OpOverload): The op.
    """
    if changes_shape(func):
        return (f'{func} would show other memory than that of spikes, which '
                'have none of their own: write it so that it makes a new '
                'tensor (x = x.reshape(...) or x[:n] for x.resize_(...), '
                'x = y for x.set_(y))')
    return (f'{func} would change spikes in place, which fire once and are '
            'read by others: write it so that it makes a new tensor '
            '(y = x * 2 for x *= 2, torch.where for x[...] = 0)')
