"""Counts of what fires (``..counting``), each in one pass."""

import torch

from .device import dense, grid, launch, load, resident


def count_spikes(counts: torch.Tensor, max_spikes: int,
                 scale: float) -> torch.Tensor:
    """:func:`..is_finite` and :func:`..spikes_in_substeps`.

    Args:
        counts (Tensor): Spike counts times ``scale``, any shape.
        max_spikes (int): D, 255 at most; 0 where nothing is counted.
        scale (float): Factor on the counts.

    Returns:
        Tensor: int64, (1 + D,), on the device: the number of those that are
        not finite, and ``#(c >= d)`` for d in 1..D.
    """
    return _count(dense(counts), None, None, 1, max_spikes, scale)[1:]


def fire_and_count(
        membrane: torch.Tensor, max_spikes: int, scale: float,
        reach: torch.Tensor | None, inplace: bool
) -> tuple[torch.Tensor, bool, list[int], int]:
    """:func:`..fire_and_count`, for D up to 255.

    Args:
        membrane (Tensor): As there. With ``reach``, the axes of a sample's
            channels lie first or last in memory.
        max_spikes (int): D.
        scale (float): Factor on the counts.
        reach (Tensor, optional): As there.
        inplace (bool): The membrane may be overwritten.

    Returns:
        tuple: As there.
    """
    u, inner = dense(membrane), 1
    if reach is not None:
        reach = reach.to(u.device)
        if u.dim() > 2 and not u.is_contiguous():
            last = u.movedim(1, -1)
            if last.is_contiguous():
                inner = u.shape[1]
            else:
                u = u.contiguous()
    out = u if inplace or u is not membrane else torch.empty_like(u)
    reached, bad, *levels = _count(u, out, reach, inner, max_spikes,
                                   scale).tolist()
    return out, not bad, levels, reached


def _count(u, out, reach, inner, max_spikes, scale):
    found = torch.zeros(2 + max_spikes, dtype=torch.int64, device=u.device)
    block, programs, is_long = grid(u)
    launch(
        load().count_kernel,
        min(programs, resident(u.device)),
        u.detach(),
        out,
        reach,
        found,
        u.numel(),
        inner,
        1 if reach is None else reach.numel(),
        MAX_SPIKES=max_spikes,
        SCALE=float(scale),
        LEVELS=1 << max(max_spikes - 1, 0).bit_length(),
        LONG=is_long,
        BLOCK=block)
    return found
