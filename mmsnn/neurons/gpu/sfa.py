"""The quantiser (``quantizer.py``), its bytes (``packed.py``) and the IF
neuron's sub-steps (``integrate.py``) by kernels, without gradient."""

import torch

from .device import dense, grid, laid_out, launch, load, threshold_constants


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


def fire_and_keep(membrane: torch.Tensor, max_spikes: int, scale: float,
                  offset: float, threshold: float,
                  mask: int) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`fire`, and the bytes of :mod:`..packed`.

    Args:
        membrane (Tensor): Membrane potential, any shape.
        max_spikes (int): D.
        scale (float): Factor on the counts.
        offset (float): As in :func:`..spike_count`.
        threshold (float): Membrane potential worth one spike.
        mask (int): What stands for NaN; 0 where no counts are kept.

    Returns:
        tuple[Tensor, Tensor]: Counts times scale, and a byte for each, in
        the same memory layout.
    """
    u = dense(membrane)
    out, kept = torch.empty_like(u), torch.empty_like(u, dtype=torch.uint8)
    _fire(u, out, kept, max_spikes, scale, offset, threshold, mask)
    return out, kept


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


def gradient_in_window(grad: torch.Tensor, kept: torch.Tensor, scale: float,
                       threshold: float) -> torch.Tensor:
    """Gradient of :func:`fire`.

    Args:
        grad (Tensor): Gradient of its output.
        kept (Tensor): The bytes of :func:`fire_and_keep`.
        scale (float): Factor on the counts.
        threshold (float): Membrane potential worth one spike.

    Returns:
        Tensor: Same shape, laid out as the bytes.
    """
    grad = laid_out(grad, kept)
    out = torch.empty_like(grad)
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
    return list(train)
