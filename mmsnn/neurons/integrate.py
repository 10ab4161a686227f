"""The IF neuron of the spike form, sub-step by sub-step."""

import ctypes

import torch

from . import gpu, native
from .checks import check_strided, check_type


def integrate_and_fire(potential: torch.Tensor,
                       max_spikes: int,
                       offset: float = 0.5) -> list[torch.Tensor]:
    """An IF neuron with soft reset, run for D sub-steps.

    The whole input of the time step has been integrated. The neuron starts
    ``offset`` thresholds above it, gets no further input, and in each
    sub-step fires where it has reached the threshold, which is then
    subtracted (paper, proposition 1).

    The potential is kept relative to the threshold: ``u + 1/2`` against 1 is
    ``u - 1/2`` against 0, and only the latter is exact in floating point.

    Args:
        potential (Tensor): Membrane potential over the threshold, any shape.
        max_spikes (int): D.
        offset (float): 1/2 (SFA) or 0 (classical neurons). Defaults to 1/2.

    Returns:
        list[Tensor]: D tensors of {0, 1}, same shape and dtype.

    Raises:
        TypeError: If the potential is no dense tensor of floating-point
            numbers.
        ValueError: If the dtype does not hold counts up to D.

    Example:
        >>> u = torch.tensor([0.4, 0.5, 1.7, 9.0])
        >>> [s.tolist() for s in integrate_and_fire(u, 2)]
        [[0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    """
    check_type(potential.dtype, max_spikes)
    check_strided(potential)
    if native.usable(potential):
        train = [torch.empty_like(potential) for _ in range(max_spikes)]
        pointers = (ctypes.c_void_p * max_spikes)(
            *(spikes.data_ptr() for spikes in train))
        native.kernel('train', potential.dtype)(potential.data_ptr(), pointers,
                                                potential.numel(), max_spikes,
                                                1 - offset,
                                                torch.get_num_threads())
        return train
    if gpu.usable(potential):
        return gpu.fire_train(potential, max_spikes, offset)
    excess = potential - (1 - offset)
    train = []
    for _ in range(max_spikes):
        spikes = torch.ge(excess, 0, out=torch.empty_like(excess))
        excess -= spikes
        train.append(spikes)
    return train
