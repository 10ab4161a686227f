"""Time inside a model: (N, T, ...) folded to (N * T, ...), sample-major."""

from typing import Any

import torch
from torch.utils._pytree import tree_map

from .layout import in_layout


def mean_over_time(outputs: Any, timesteps: int) -> Any:
    """Average every tensor over time: (N * T, ...) to (N, ...).

    Args:
        outputs (Any): A tensor, or tensors nested in tuples, lists, dicts.
        timesteps (int): T. With 1, nothing is done.

    Returns:
        Any: The same structure; maps keep their layout.

    Example:
        >>> scores = torch.tensor([[1., 0.], [3., 1.], [5., 2.], [5., 4.]])
        >>> mean_over_time((scores, ), timesteps=2)
        (tensor([[2.0000, 0.5000],
                [5.0000, 3.0000]]),)
    """
    if timesteps == 1:
        return outputs

    def merge(x):
        return x.unflatten(0, (-1, timesteps)).mean(1)

    return tree_map(
        lambda x: in_layout(merge, x)
        if isinstance(x, torch.Tensor) else x, outputs)
