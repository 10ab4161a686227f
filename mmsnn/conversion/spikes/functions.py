"""Functions of PyTorch that are run another way on spikes.

By the time that its ops are dispatched, PyTorch has written spikes into
memory, or multiplied them by a number.
"""

from collections.abc import Callable
from math import sqrt

import torch
from torch.nn import functional as F


def pad_circular(x: torch.Tensor, pad, mode='constant', value=None):
    """What stands beyond an end is what stands before the other: a move.

    Args:
        x (Tensor): (N, C, *positions).
        pad (Sequence[int]): As for :func:`torch.nn.functional.pad`.
        mode (str): ``'circular'``.
        value (float, optional): Without effect.

    Returns:
        Tensor: NotImplemented for other modes.

    Raises:
        ValueError: If it would wrap around more than once.

    Example:
        >>> pad_circular(torch.tensor([[[1, 2, 3]]]), (1, 2), 'circular')
        tensor([[[3, 1, 2, 3, 1, 2]]])
    """
    if mode != 'circular':
        return NotImplemented
    for i in range(len(pad) // 2):
        axis = x.dim() - 1 - i
        crop = [max(-p, 0) for p in pad[2 * i:2 * i + 2]]
        before, after = (max(p, 0) for p in pad[2 * i:2 * i + 2])
        size = x.shape[axis] - sum(crop)
        if max(before, after) > size:
            raise ValueError(
                f'circular padding of {max(before, after)} on {size} '
                'positions: it can not wrap around more than once')
        if sum(crop):
            x = x.narrow(axis, crop[0], size)
        if before or after:
            times = [3 if n == axis else 1 for n in range(x.dim())]
            x = x.repeat(times).narrow(axis, size - before,
                                       before + size + after)
    return x


def attention(query: torch.Tensor,
              key: torch.Tensor,
              value: torch.Tensor,
              mask: torch.Tensor | None = None,
              causal: bool = False,
              scale: float | None = None) -> torch.Tensor:
    """``softmax(q k^T * scale + mask) v``, with a product of q and k as such.

    PyTorch multiplies both by the root of the scale first, in some of its
    ways, so that they were no spikes.

    Args:
        query (Tensor): (..., L, E).
        key (Tensor): (..., S, E).
        value (Tensor): (..., S, V).
        mask (Tensor, optional): (..., L, S), booleans or what is added.
        causal (bool): Whether a token sees only those before it.
        scale (float, optional): Defaults to 1 / sqrt(E).

    Returns:
        Tensor: (..., L, V).
    """
    scores = torch.matmul(query, key.transpose(-1, -2))
    scores = scores * (1 / sqrt(query.shape[-1]) if scale is None else scale)
    if causal:
        seen = torch.ones(
            scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~seen, -torch.inf)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    return torch.matmul(torch.softmax(scores, -1), value)


def _scaled_dot_product_attention(query, key, value, attn_mask=None,
                                  dropout_p=0., is_causal=False, scale=None,
                                  enable_gqa=False):
    if dropout_p or enable_gqa:
        return NotImplemented
    return attention(query, key, value, attn_mask, is_causal, scale)


def _values(x: torch.Tensor) -> torch.Tensor:
    """What is no spikes any more, at no cost."""
    return x.view(x.dtype)


def _quantile(function: Callable) -> Callable:
    """Between two elements a quantile is a weighted sum of them, which
    PyTorch writes into what it has sorted."""

    def run(x, *args, interpolation='linear', **kwargs):
        if interpolation not in ('linear', 'midpoint'):
            return NotImplemented
        return function(
            _values(x), *args, interpolation=interpolation, **kwargs)

    return run


def _argsort(x, *args, **kwargs):
    """Only where they would stand: no spikes are sorted."""
    return torch.argsort(_values(x), *args, **kwargs)


def _deepcopy(x, memo):
    """As many spikes again; PyTorch itself would copy their memory."""
    if id(x) not in memo:
        memo[id(x)] = x.clone()
    return memo[id(x)]


#: What runs in the place of a function. It returns NotImplemented where the
#: function itself is to run.
FUNCTIONS: dict[Callable, Callable] = {
    F.pad: pad_circular,
    F.scaled_dot_product_attention: _scaled_dot_product_attention,
    torch.Tensor.__deepcopy__: _deepcopy,
    torch.argsort: _argsort,
    torch.Tensor.argsort: _argsort,
    torch.quantile: _quantile(torch.quantile),
    torch.nanquantile: _quantile(torch.nanquantile),
    torch.Tensor.quantile: _quantile(torch.quantile),
    torch.Tensor.nanquantile: _quantile(torch.nanquantile),
}
