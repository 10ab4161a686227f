"""Tensors in nested arguments and results."""

from collections.abc import Iterator
from typing import Any

import torch


def tensors(tree: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested lists, tuples and dicts.

    Args:
        tree: Tensors, and whatever else.

    Yields:
        Tensor: One after the other.

    Example:
        >>> [len(x) for x in tensors([torch.ones(1), dict(a=torch.ones(2))])]
        [1, 2]
    """
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for x in tree:
            yield from tensors(x)
    elif isinstance(tree, dict):
        for x in tree.values():
            yield from tensors(x)
