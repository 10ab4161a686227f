"""Numbers at which kernels go wrong."""

import torch

from mmsnn.neurons.gpu import device

DTYPES = device.TYPES


def edges(dtype: torch.dtype, max_spikes: int) -> torch.Tensor:
    """All halves from -1 to D + 1, their neighbours, and what is special."""
    halves = torch.arange(-2, 2 * max_spikes + 3, dtype=torch.float64) / 2
    halves = halves.to(dtype)
    # The neighbours of a number have the neighbours of its bits.
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    bits = halves.view(whole)
    info = torch.finfo(dtype)
    special = torch.tensor(
        [torch.nan, torch.inf, 0., info.smallest_normal,
         info.smallest_normal / 4, info.max], dtype=torch.float64)
    return torch.cat([
        halves, (bits + 1).view(dtype), (bits - 1).view(dtype),
        special.to(dtype), -special.to(dtype)
    ])


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether all numbers are equal, or both NaN."""
    return (a.dtype == b.dtype and a.shape == b.shape
            and bool(((a == b) | (a.isnan() & b.isnan())).all()))
