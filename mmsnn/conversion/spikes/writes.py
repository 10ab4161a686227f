"""What ops write into. Those that only show spikes in another shape run on
them, all others that write into spikes are refused."""

from collections.abc import Iterator

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


def written(func, args: tuple, kwargs: dict) -> Iterator[torch.Tensor]:
    """The tensors that an op writes into.

    Args:
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.

    Yields:
        Tensor: One after the other.

    Example:
        >>> x, y = torch.zeros(1), torch.ones(1)
        >>> [z is x for z in written(torch.ops.aten.add_.Tensor, (x, y), {})]
        [True]
    """
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info and argument.alias_info.is_write:
            given = args[i] if i < len(args) else kwargs.get(argument.name)
            for x in tree_leaves(given):
                if isinstance(x, torch.Tensor):
                    yield x


def writes_into(kind: type, func, args: tuple, kwargs: dict) -> bool:
    """Whether what an op writes into is spikes.

    Args:
        kind (type): :class:`.SpikeTensor`.
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
    """
    return any(isinstance(x, kind) for x in written(func, args, kwargs))


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
