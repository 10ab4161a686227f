"""Products of spike counts, exact in any precision.

A product of integers is exact where its type holds every sum, and the
machine does not round its operands. Types hold all integers up to 2^8
(bfloat16), 2^11 (float16), 2^24 (float32) and 2^53 (float64). Products in
float32 round their operands to 11 binary digits where TF32 is allowed
(``torch.set_float32_matmul_precision('high')``), and to 8 with ``'medium'``.
Both bounds are known from shapes and D before a product is computed.
"""

import torch
from torch.autograd.function import once_differentiable

from mmsnn.neurons import native
from mmsnn.neurons.autocast import without_autocast


def exact_up_to(dtype: torch.dtype) -> int:
    """The largest integer up to which a type of numbers holds all.

    Args:
        dtype (torch.dtype): A floating-point type.

    Returns:
        int: A power of two.

    Example:
        >>> exact_up_to(torch.bfloat16), exact_up_to(torch.float16)
        (256, 2048)
    """
    return round(2 / torch.finfo(dtype).eps)


def _operands_up_to() -> int:
    """The largest integer that products in float32 do not round."""
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # set for one backend only: the coarsest
        precision = 'medium'
    return exact_up_to(dict(highest=torch.float32, high=torch.float16,
                            medium=torch.bfloat16)[precision])


# A value of the process, for torch.compile: what
# torch.compiler.assume_constant_result does without importing the compiler.
_operands_up_to._dynamo_marked_constant = True


def product_type(inner: int, most_left: int, most_right: int,
                 dtype: torch.dtype) -> torch.dtype:
    """The type in which a product of integers is computed, and exact.

    Args:
        inner (int): Number of terms of each sum.
        most_left (int): Largest number in the left operand; none is negative.
        most_right (int): Largest number in the right one.
        dtype (torch.dtype): Type of the operands.

    Returns:
        torch.dtype: ``dtype`` where it holds the largest sum, else float32
        where that does and the operands are not rounded, else float64.

    Example:
        >>> product_type(16, 4, 4, torch.bfloat16)  # sums up to 256
        torch.bfloat16
        >>> product_type(17, 4, 4, torch.bfloat16)
        torch.float32
        >>> product_type(2**20 + 1, 4, 4, torch.bfloat16)
        torch.float64
    """
    largest = inner * most_left * most_right
    if dtype not in (torch.float32, torch.float64) and (
            largest <= exact_up_to(dtype)):
        return dtype
    if (dtype != torch.float64 and largest <= exact_up_to(torch.float32)
            and max(most_left, most_right) <= _operands_up_to()):
        return torch.float32
    return torch.float64


def linear_attention(query: torch.Tensor, key: torch.Tensor,
                     value: torch.Tensor,
                     max_spikes: int) -> torch.Tensor:
    """``Q (K^T V)`` of spike counts: linear in tokens, and exact.

    The product of integers does not depend on the order, so the one that is
    linear in the tokens is taken. Each of the two products is computed in the
    shortest type in which it is exact (:func:`product_type`); autocast, which
    would round them, is off inside. For the backward pass the operands are
    saved (:class:`mmsnn.neurons.saving.saved_as_bytes`: as bytes), not their
    product. Gradients are computed in the type of the result.

    Args:
        query (Tensor): Spike counts of shape (N, heads, tokens, head_dim).
        key (Tensor): Spike counts, same shape.
        value (Tensor): Spike counts, (N, heads, tokens, value_dim).
        max_spikes (int): D; 0 when the operands are not spike counts.

    Returns:
        Tensor: (N, heads, tokens, value_dim), float32, or float64 where the
        operands are or sums could pass 2^24 (more than
        ``tokens x head_dim x D^3``).

    Example:
        >>> q = k = torch.tensor([[[[2., 1.], [0., 3.]]]])
        >>> v = torch.tensor([[[[1.], [4.]]]])
        >>> linear_attention(q, k, v, max_spikes=4).flatten().tolist()
        [17.0, 39.0]
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    if not max_spikes:
        with without_autocast(query.device):
            return query.to(wide) @ (key.to(wide).mT @ value.to(wide))
    if torch.is_grad_enabled() and any(
            x.requires_grad for x in (query, key, value)):
        if native.is_followed():
            return _attend(query, key, value, max_spikes, wide)
        return _LinearAttention.apply(query, key, value, max_spikes)
    return _attend(query, key, value, max_spikes, query.dtype)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
            max_spikes: int, dtype: torch.dtype) -> torch.Tensor:
    """Counts of any type, computed in ``dtype`` or the next that is exact."""
    tokens, head_dim = query.shape[-2:]
    wide = torch.promote_types(dtype, torch.float32)
    with without_autocast(query.device):
        key_value = _key_value(key, value, max_spikes, dtype)
        most = tokens * max_spikes**2
        dtype = product_type(head_dim, max_spikes, most, wide)
        out = query.to(dtype) @ key_value.to(dtype)
        if head_dim * max_spikes * most > exact_up_to(torch.float32):
            return out
        return out.to(wide)


def _key_value(key, value, max_spikes, dtype):
    dtype = product_type(key.shape[-2], max_spikes, max_spikes, dtype)
    return key.to(dtype).mT @ value.to(dtype)


class _LinearAttention(torch.autograd.Function):
    """Saves the operands, and not their product."""

    @staticmethod
    def forward(ctx, query, key, value, max_spikes):
        ctx.max_spikes, ctx.dtype = max_spikes, query.dtype
        ctx.save_for_backward(query, key, value)
        return _attend(query, key, value, max_spikes, query.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        query, key, value = ctx.saved_tensors
        wanted, grads = ctx.needs_input_grad, [None] * 4
        with without_autocast(grad.device):
            if wanted[0]:
                key_value = _key_value(key, value, ctx.max_spikes, ctx.dtype)
                grads[0] = grad @ key_value.to(grad.dtype).mT
            if wanted[1] or wanted[2]:
                inner = query.to(grad.dtype).mT @ grad
            if wanted[1]:
                grads[1] = value.to(grad.dtype) @ inner.mT
            if wanted[2]:
                grads[2] = key.to(grad.dtype) @ inner
        return tuple(x if x is None else x.to(ctx.dtype) for x in grads)
