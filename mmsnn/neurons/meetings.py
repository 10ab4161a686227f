"""Products of spikes with spikes."""

import ctypes

import torch

from . import native

_Four = ctypes.c_int64 * 4
_Two = ctypes.c_double * 2


def spikes_meeting(left: torch.Tensor, right: torch.Tensor) -> tuple[int, int]:
    """What a product of spikes with spikes adds up.

    Args:
        left (Tensor): Spike counts, (..., n, m).
        right (Tensor): Spike counts, or multiples of them, (..., m, p).
            Leading axes may be merged in one of the two.

    Returns:
        tuple[int, int]: The spikes on the left; and the additions: each of
        them adds what is not zero of a row on the right.

    Example:
        >>> left = torch.tensor([[2., 0.], [1., 3.]])
        >>> right = torch.tensor([[1., 2.], [0., 1.]])
        >>> spikes_meeting(left, right)  # 2 + 1 spikes add 2, 3 spikes add 1
        (6, 9)
    """
    if max(left.dim(), right.dim()) <= 4 and left.dtype is right.dtype and (
            native.readable(left) and native.readable(right)):
        found = _Two()
        native.kernel('meetings', left.dtype)(
            left.data_ptr(), *_layout(left), right.data_ptr(),
            *_layout(right), found, torch.get_num_threads())
        spikes, additions = found
    else:
        selecting = left.sum(-2, dtype=torch.float64).flatten()
        selected = (right != 0).sum(-1, dtype=torch.float64).flatten()
        spikes = selecting.sum().item()
        additions = (selecting * selected).sum().item()
    return round(spikes), round(additions)


def _layout(x: torch.Tensor) -> tuple[ctypes.Array, ctypes.Array]:
    front = (1, ) * (4 - x.dim())
    return _Four(*front, *x.shape), _Four(*front, *x.stride())
