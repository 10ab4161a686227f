"""What fires, counted: by sub-steps, by positions, by what it reaches."""

import ctypes
from math import frexp

import torch

from . import gpu, native
from .checks import check_strided, check_type, check_values
from .quantizer import spike_firing

#: D up to which counts are bytes in the kernel that counts them.
_MOST_COUNTED = 255


def is_finite(membrane: torch.Tensor) -> bool:
    """Whether no element is NaN or infinite.

    Args:
        membrane (Tensor): Any shape.

    Returns:
        bool: True if all elements are finite.

    Raises:
        ValueError: If the tensor has no values.

    Example:
        >>> is_finite(torch.ones(2)), is_finite(torch.tensor([1., torch.inf]))
        (True, False)
    """
    check_values(membrane)
    if native.usable(membrane):
        found = torch.empty(1, dtype=torch.int64)
        native.kernel('nonfinite', membrane.dtype)(membrane.data_ptr(),
                                                   membrane.numel(),
                                                   found.data_ptr(),
                                                   torch.get_num_threads())
        return not found.item()
    if gpu.usable(membrane):
        return not gpu.count_spikes(membrane, 0, 1.0)[0].item()
    return bool(torch.isfinite(membrane).all())


def spikes_per_substep(counts: torch.Tensor,
                       max_spikes: int,
                       scale: float = 1.0) -> list[int]:
    """Number of neurons that fire in sub-step 1..D.

    Args:
        counts (Tensor): Spike counts times ``scale``, any shape.
        max_spikes (int): D.
        scale (float): Factor on the counts. Defaults to 1.

    Returns:
        list[int]: ``#(c >= d)`` for d in 1..D.

    Raises:
        ValueError: If the tensor has no values.

    Example:
        >>> spikes_per_substep(torch.tensor([0., 1., 1., 3.]), 4)
        [3, 1, 1, 0]
    """
    return spikes_in_substeps(counts, max_spikes, scale).tolist()


def spikes_in_substeps(counts: torch.Tensor,
                       max_spikes: int,
                       scale: float = 1.0) -> torch.Tensor:
    """:func:`spikes_per_substep`, left on the device: nothing waits for it.

    Args:
        counts (Tensor): Spike counts times ``scale``, any shape.
        max_spikes (int): D.
        scale (float): Factor on the counts. Defaults to 1.

    Returns:
        Tensor: int64, (D,).

    Raises:
        ValueError: If the tensor has no values.

    Example:
        >>> spikes_in_substeps(torch.tensor([0., 1., 1., 3.]), 4)
        tensor([3, 1, 1, 0])
    """
    check_values(counts)
    if native.usable(counts):
        levels = torch.empty(max_spikes, dtype=torch.int64)
        native.kernel('levels', counts.dtype)(counts.data_ptr(),
                                              counts.numel(), max_spikes,
                                              scale, levels.data_ptr(),
                                              torch.get_num_threads())
        return levels
    if max_spikes <= _MOST_COUNTED and gpu.usable(counts):
        return gpu.count_spikes(counts, max_spikes, scale)[1:]
    # In float32, that the edges between halves are not rounded, as above.
    counts = counts.to(torch.promote_types(counts.dtype, torch.float32))
    return torch.stack([
        (counts >= (d - 0.5) * scale).sum() for d in range(1, max_spikes + 1)
    ])


def spikes_per_position(counts: torch.Tensor,
                        max_spikes: int,
                        scale: float = 1.0) -> torch.Tensor:
    """Number of spikes at each position, over samples and channels.

    Args:
        counts (Tensor): Spike counts times ``scale``, (N, C, *positions).
        max_spikes (int): D.
        scale (float): Factor on the counts. Defaults to 1.

    Returns:
        Tensor: Integers as float64, of the shape of the positions.

    Example:
        >>> spikes_per_position(torch.tensor([[[0., .5], [1., 1.]]]), 2, .5)
        tensor([2., 3.], dtype=torch.float64)
    """
    planes = counts.shape[0] * counts.shape[1]
    if frexp(scale)[0] != 0.5:
        # Sums of multiples of 1/3 are not exact in any type.
        counts, scale = (counts / scale).round_(), 1.0
    exact = planes * max_spikes < 2**24
    if exact and native.usable(counts):
        wide = torch.promote_types(counts.dtype, torch.float32)
        total = torch.empty(counts.shape[2:], dtype=wide)
        if counts.is_contiguous():
            name, sizes = 'sums', (planes, total.numel())
        else:
            name, sizes = 'last_sums', (counts.shape[0], total.numel(),
                                        counts.shape[1])
        native.kernel(name, counts.dtype)(counts.data_ptr(), *sizes,
                                          total.data_ptr(),
                                          torch.get_num_threads())
    else:
        wide = torch.float32 if exact else torch.float64
        total = counts.sum(
            dim=(0, 1), dtype=torch.promote_types(counts.dtype, wide))
    return (total.double() / scale).round_()


def fire_and_count(
        membrane: torch.Tensor,
        max_spikes: int,
        scale: float,
        reach: torch.Tensor | None = None,
        inplace: bool = False
) -> tuple[torch.Tensor, bool, list[int], int]:
    """:func:`spike_firing` without gradient, counted in the same pass.

    Args:
        membrane (Tensor): Membrane potential over the threshold; of shape
            (N, C, *positions) where ``reach`` is given.
        max_spikes (int): D.
        scale (float): Factor on the counts.
        reach (Tensor, optional): Outputs that a spike reaches from each
            position, float64.
        inplace (bool): The membrane may be overwritten. Defaults to False.

    Returns:
        tuple: Spike counts times ``scale``; whether all membranes were
        finite, else what follows means nothing; spikes in each of D
        sub-steps, see :func:`spikes_per_substep`; spikes times ``reach``, 0
        without it.

    Example:
        >>> u = torch.tensor([[[0.4, 1.], [2., 3.]]])
        >>> reach = torch.tensor([2., 5.], dtype=torch.float64)
        >>> fire_and_count(u, 2, 0.5, reach)
        (tensor([[[0.0000, 0.5000],
                 [1.0000, 1.0000]]]), True, [3, 2], 19)
    """
    check_type(membrane.dtype, max_spikes, scale)
    check_strided(membrane)
    check_values(membrane)
    if max_spikes <= _MOST_COUNTED and gpu.usable(membrane):
        return gpu.fire_and_count(membrane, max_spikes, scale, reach, inplace)
    if max_spikes <= _MOST_COUNTED and native.usable(membrane):
        values = membrane if inplace else torch.empty_like(membrane)
        inner = 1 if membrane.is_contiguous() else membrane.shape[1]
        where = (None, inner, 1) if reach is None else (reach.data_ptr(),
                                                        inner, reach.numel())
        counted = (ctypes.c_int64 * (2 + max_spikes))()
        native.kernel('count', membrane.dtype)(membrane.data_ptr(),
                                               values.data_ptr(),
                                               membrane.numel(), max_spikes,
                                               scale, *where, counted,
                                               torch.get_num_threads())
        bad, reached, *levels = counted
        return values, not bad, levels, reached
    finite = is_finite(membrane)
    with torch.no_grad():
        values = spike_firing(membrane, max_spikes, scale, inplace)
    levels = spikes_per_substep(values, max_spikes, scale)
    return values, finite, levels, spikes_reaching(
        values, max_spikes, scale, reach) if finite else 0


def spikes_reaching(counts: torch.Tensor, max_spikes: int, scale: float,
                    reach: torch.Tensor | None) -> int:
    """Spikes times ``reach`` at their position; 0 where that is None.

    Args:
        counts (Tensor): Spike counts times ``scale``, (N, C, *positions).
        max_spikes (int): D.
        scale (float): Factor on the counts.
        reach (Tensor, optional): Factor of each position, float64.

    Returns:
        int: The sum, exact.

    Example:
        >>> reach = torch.tensor([2., 5.], dtype=torch.float64)
        >>> spikes_reaching(torch.tensor([[[0., .5], [1., 1.]]]), 2, .5, reach)
        19
    """
    if reach is None:
        return 0
    spikes = spikes_per_position(counts, max_spikes, scale)
    return int((spikes * reach).sum().item())
