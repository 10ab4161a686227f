"""The quantiser (``quantizer.py``), its bytes (``packed.py``) and the IF
neuron's sub-steps (``integrate.py``) by kernels."""

import torch
from torch.autograd.function import once_differentiable

from ..quotient import quotient
from .device import (
    dense,
    grid,
    laid_out,
    launch,
    load,
    threshold_constants,
    usable,
)


def fire(membrane: torch.Tensor,
         max_spikes: int,
         scale: float,
         inplace: bool = False,
         offset: float = 0.5,
         threshold: float = 1.0) -> torch.Tensor:
    """``spike_firing(membrane / threshold, ...)``, divided by the kernel.

    Args:
        membrane (Tensor): Membrane potential, any shape.
        max_spikes (int): D.
        scale (float): Factor on the counts.
        inplace (bool): The membrane may be overwritten. Defaults to False.
        offset (float): As in :func:`..spike_count`. Defaults to 1/2.
        threshold (float): Membrane potential worth one spike. Defaults to 1.

    Returns:
        Tensor: Same shape, dtype and memory layout.
    """
    u = dense(membrane)
    # A copy may be overwritten in any case.
    out = u if inplace or u is not membrane else torch.empty_like(u)
    _fire(u, out, None, max_spikes, scale, offset, threshold, 0)
    return out


def fire_in_training(
        membrane: torch.Tensor,
        max_spikes: int,
        scale: float,
        offset: float = 0.5,
        threshold: float = 1.0,
        mask: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`fire` with gradient, and the bytes of :mod:`..packed`.

    Args:
        membrane (Tensor): Membrane potential, any shape.
        max_spikes (int): D.
        scale (float): Factor on the counts.
        offset (float): As in :func:`..spike_count`. Defaults to 1/2.
        threshold (float): Membrane potential worth one spike. Defaults to 1.
        mask (int): What stands for NaN in the bytes. Defaults to 0: the
            bytes hold no counts, only the window.

    Returns:
        tuple[Tensor, Tensor]: Counts times scale, and a byte for each, in
        the same memory layout. The bytes are what the backward pass needs.
    """
    return _Fire.apply(membrane, max_spikes, scale, offset, threshold, mask)


class _Fire(torch.autograd.Function):

    @staticmethod
    def forward(ctx, u, max_spikes, scale, offset, threshold, mask):
        u = dense(u)
        out, kept = torch.empty_like(u), torch.empty_like(u, dtype=torch.uint8)
        _fire(u, out, kept, max_spikes, scale, offset, threshold, mask)
        ctx.save_for_backward(kept)
        ctx.scale, ctx.threshold = scale, threshold
        ctx.mark_non_differentiable(kept)
        ctx.set_materialize_grads(False)
        return out, kept

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _):
        if grad is None:
            return (None, ) * 6
        kept, = ctx.saved_tensors
        if usable(grad):
            out = _gradient(grad, kept, ctx.scale, ctx.threshold)
        else:  # where operations are followed
            out = torch.where(kept >= 128, grad * ctx.scale, 0)
            out = quotient(out, ctx.threshold)
        return out, None, None, None, None, None


def _fire(u, out, kept, max_spikes, scale, offset, threshold, mask):
    block, programs, is_long = grid(u)
    launch(
        load().fire_kernel,
        programs,
        u,
        out,
        kept,
        u.numel(),
        MAX_SPIKES=max_spikes,
        SCALE=float(scale),
        DISTANCE=1 - offset,
        MASK=mask,
        LONG=is_long,
        BLOCK=block,
        **threshold_constants(float(threshold)))


def _gradient(grad, kept, scale, threshold):
    grad = laid_out(grad, kept)
    out = torch.empty_like(kept, dtype=grad.dtype)
    block, programs, is_long = grid(grad)
    launch(
        load().fire_back_kernel,
        programs,
        grad,
        kept,
        out,
        grad.numel(),
        SCALE=float(scale),
        LONG=is_long,
        BLOCK=block,
        **threshold_constants(float(threshold)))
    return out


def pack(values: torch.Tensor, scale: float, mask: int) -> torch.Tensor:
    """:func:`..packed.pack` by a kernel.

    Args:
        values (Tensor): Spike counts times ``scale``; dense.
        scale (float): Factor on the counts.
        mask (int): What stands for NaN.

    Returns:
        Tensor: uint8, same shape and layout.
    """
    kept = torch.empty_like(values, dtype=torch.uint8)
    block, programs, is_long = grid(values)
    launch(
        load().pack_kernel,
        programs,
        values,
        kept,
        values.numel(),
        SCALE=float(scale),
        MASK=mask,
        LONG=is_long,
        BLOCK=block)
    return kept


def unpack(kept: torch.Tensor, values: torch.Tensor, scale: float,
           mask: int) -> None:
    """:func:`..packed.unpack` by a kernel.

    Args:
        kept (Tensor): uint8, dense.
        values (Tensor): Written: spike counts times ``scale``, laid out as
            ``kept``.
        scale (float): Factor on the counts.
        mask (int): What stands for NaN.
    """
    block, programs, is_long = grid(values)
    kernels = load()
    launch(
        kernels.unpack_kernel,
        programs,
        kept,
        values,
        kept.numel(),
        SCALE=float(scale),
        MASK=mask,
        REAL=kernels.REAL[values.dtype],
        LONG=is_long,
        BLOCK=block)


def fire_train(potential: torch.Tensor, max_spikes: int,
               offset: float) -> list[torch.Tensor]:
    """:func:`..integrate_and_fire` by one kernel.

    Args:
        potential (Tensor): Membrane potential over the threshold, any shape.
        max_spikes (int): D.
        offset (float): 1/2 or 0.

    Returns:
        list[Tensor]: D tensors of {0, 1}, same shape, dtype and memory
        layout, one behind the other in memory.
    """
    u = dense(potential.detach())
    train = torch.empty_strided((max_spikes, *u.shape),
                                (u.numel(), *u.stride()),
                                dtype=u.dtype,
                                device=u.device)
    block, programs, _ = grid(u)
    launch(
        load().train_kernel,
        programs,
        u,
        train,
        u.numel(),
        MAX_SPIKES=max_spikes,
        DISTANCE=1 - offset,
        LONG=grid(train)[-1],
        BLOCK=block)
    # Tensors of their own, not views of what changes with the others.
    return [spikes.data for spikes in train]
