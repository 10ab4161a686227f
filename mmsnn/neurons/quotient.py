"""A membrane potential over the threshold, the same on every device."""

from math import frexp

import torch


def quotient(potential: torch.Tensor, threshold: float) -> torch.Tensor:
    """``potential / threshold``, rounded to nearest.

    On an NVIDIA GPU, PyTorch multiplies by the inverse of a number, which
    rounds twice; a potential on an edge would fire there and not on a CPU. It
    divides by a tensor.

    Args:
        potential (Tensor): Membrane potential, any shape.
        threshold (float): What it is divided by.

    Returns:
        Tensor: Same shape, dtype and memory layout.

    Example:
        >>> quotient(torch.tensor([1., 3.]), 0.5)
        tensor([2., 6.])
    """
    if potential.is_cuda and frexp(threshold)[0] != 0.5:
        return _by_tensor(potential, threshold)
    return potential / threshold


def _by_tensor(potential, threshold):
    # In half types the tensor would be rounded to that type.
    wide = torch.promote_types(potential.dtype, torch.float32)
    divisor = torch.full((), threshold, dtype=wide, device=potential.device)
    return (potential.to(wide) / divisor).to(potential.dtype)
