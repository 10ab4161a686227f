"""How much two tensors differ, relative to the scale of each element.

One scale for a whole tensor would hide differences: a column that is filled
with -1e10, as masks do, makes all others look small. Each element alone is no
scale either: where large numbers cancel, what is left is rounding. So the
scale of an element is its own value, or what is usual around it.
"""

from math import inf, isfinite

import torch

#: Elements from which what is usual is taken, at most.
_SAMPLE = 100_000
#: Elements of a row or column, at least, to tell what is usual in it.
_FEW = 16
#: What is usual in a row or column counts no less than this share of what is
#: usual in the tensor: all of a row may have cancelled.
_LEAST = 1e-3
#: Rounding of shorter types, in units of their last place.
_ROUNDING = 2


def relative_error(first: torch.Tensor, second: torch.Tensor,
                   dtype: torch.dtype = torch.float64) -> float:
    """Largest difference of two tensors, relative to each element's scale.

    The scale is the larger of the element itself and of what is usual around
    it. Usual in a tensor is the lower quartile of the different absolute
    values that it has, zero left out; in a row, a column, a channel of at
    least 16 elements the mean of its absolute values. The least of these
    counts, yet no less than a thousandth of what is usual in the tensor.

    Args:
        first (Tensor): Dense and real, any type.
        second (Tensor): The same shape and type.
        dtype (torch.dtype): In which both were computed. A tensor of a
            shorter type may differ by the rounding of its type. Defaults to
            float64.

    Returns:
        float: 0 if all are equal, NaN equal to NaN. Infinite if numbers that
        are no floating-point numbers, or not finite, differ. Where all of
        ``first`` is zero, the largest difference itself.

    Example:
        >>> first = torch.tensor([[2., -1e10], [4., -1e10]]).double()
        >>> second = torch.tensor([[2., -1e10], [3., -1e10]]).double()
        >>> relative_error(first, second)
        0.25
    """
    second = second.to(first.device)
    unequal = (first != second) & ~((first != first) & (second != second))
    if not unequal.any():
        return 0.
    if not first.is_floating_point():
        return inf
    resolution = torch.finfo(first.dtype).eps
    if resolution <= torch.finfo(dtype).eps:
        resolution = 0.
    first, second = first.double(), second.double()
    gap = (first - second)[unequal].abs()
    if not gap.isfinite().all():
        return inf
    own = first[unequal].abs()
    gap = (gap - _ROUNDING * resolution * own).clamp(min=0)
    usual = _usual(first)
    if not usual:
        return gap.max().item()
    scale = own.clamp(min=usual * _LEAST)
    if (gap / scale).max() > 1e-12:  # else rounding, whatever is usual
        scale = torch.maximum(scale, _around(first, usual)[unequal])
    return (gap / scale).max().item()


def share_of_largest(first: torch.Tensor, second: torch.Tensor) -> float:
    """Largest difference of two tensors, relative to the largest value.

    It says how wrong a result is on the whole, where it is known to be wrong.

    Args:
        first (Tensor): Dense and real, any type.
        second (Tensor): The same shape and type.

    Returns:
        float: As :func:`relative_error` where they differ in what is not
        finite or no floating-point number.

    Example:
        >>> share_of_largest(torch.tensor([2., -4.]), torch.tensor([1., -4.]))
        0.25
    """
    second = second.to(first.device)
    unequal = (first != second) & ~((first != first) & (second != second))
    if not unequal.any():
        return 0.
    if not first.is_floating_point():
        return inf
    gap = (first - second)[unequal].abs().max().item()
    if not isfinite(gap):
        return inf
    return gap / (first[first.isfinite()].abs().max().item() or 1.)


def _usual(x: torch.Tensor) -> float:
    x = x.flatten()
    x = x[::max(1, x.numel() // _SAMPLE)].abs()
    x = x[x.isfinite() & (x > 0)].unique()
    return x[(len(x) - 1) // 4].item() if len(x) else 0.


def _around(x: torch.Tensor, usual: float) -> torch.Tensor:
    """What is usual around each element."""
    finite = x.isfinite()
    size = torch.where(finite, x.abs(), 0)
    least = torch.full_like(size, usual)
    for axis in range(x.dim()):
        others = [a for a in range(x.dim()) if a != axis]
        if not others or x.numel() // x.shape[axis] < _FEW:
            continue
        number = finite.sum(others, keepdim=True).clamp(min=1)
        least = torch.minimum(least, size.sum(others, keepdim=True) / number)
    return least
