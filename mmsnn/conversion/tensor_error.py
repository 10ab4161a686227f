"""How much two tensors differ, value by value.

The scale of a difference is the value itself: nothing else in a tensor says
how exact a value has to be. Large neighbours (a mask of -1e10, another
class) would hide it, and where large numbers cancel no neighbour tells what
rounding has left. That is measured instead, see :mod:`.rounding`, and what it
explains is no difference.
"""

from math import inf

import torch

#: Rounding of shorter types, in units of their last place.
_ROUNDING = 2


def relative_error(first: torch.Tensor, second: torch.Tensor,
                   dtype: torch.dtype = torch.float64,
                   rounding: torch.Tensor | None = None) -> float:
    """Largest difference of two tensors, relative to the values themselves.

    Args:
        first (Tensor): Dense and real, any type.
        second (Tensor): The same shape and type.
        dtype (torch.dtype): In which both were computed. A tensor of a
            shorter type may differ by the rounding of its type. Defaults to
            float64.
        rounding (Tensor, optional): By how much each element may differ, of
            the same shape, in float64. Defaults to None: by nothing.

    Returns:
        float: Relative to the element of ``first``; where that is 0, to that
        of ``second``, which makes it 1. It is 0 if all are equal, NaN equal
        to NaN, and infinite if numbers that are no floating-point numbers, or
        not finite, differ.

    Example:
        >>> first = torch.tensor([[2., -1e10], [4., -1e10]]).double()
        >>> second = torch.tensor([[2., -1e10], [3., -1e10]]).double()
        >>> relative_error(first, second)
        0.25
        >>> relative_error(first, second, rounding=torch.ones(2, 2))
        0.0
    """
    gap, size = _differences(first, second, rounding)
    if first.is_floating_point():
        resolution = torch.finfo(first.dtype).eps
        if resolution > torch.finfo(dtype).eps:
            gap = (gap - _ROUNDING * resolution * size).clamp(min=0)
    return _largest(gap / size)


def share_of_largest(first: torch.Tensor, second: torch.Tensor,
                     rounding: torch.Tensor | None = None) -> float:
    """Largest difference of two tensors, relative to the largest value.

    It says how wrong a result is on the whole, where it is known to be wrong.

    Args:
        first (Tensor): Dense and real, any type.
        second (Tensor): The same shape and type.
        rounding (Tensor, optional): As of :func:`relative_error`.

    Returns:
        float: As :func:`relative_error` where they differ in what is not
        finite or no floating-point number. Where all of ``first`` is zero,
        the largest difference itself.

    Example:
        >>> share_of_largest(torch.tensor([2., -4.]), torch.tensor([1., -4.]))
        0.25
    """
    gap = _largest(_differences(first, second, rounding)[0])
    if not gap or gap == inf:
        return gap
    return gap / (first[first.isfinite()].abs().max().item() or 1.)


def _differences(
        first: torch.Tensor, second: torch.Tensor,
        rounding: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Absolute differences of unequal elements that rounding does not
    explain, and the scale of each; in float64."""
    second = second.to(first.device)
    unequal = (first != second) & ~((first != first) & (second != second))
    a, b = first[unequal].double(), second[unequal].double()
    size = torch.where(a == 0, b, a).abs()
    gap = (a - b).abs()
    if not first.is_floating_point() or not gap.isfinite().all():
        return torch.full_like(gap, inf), torch.ones_like(gap)
    if rounding is not None:
        gap = torch.where(gap <= rounding.to(gap.device)[unequal], 0, gap)
    return gap, size


def _largest(x: torch.Tensor) -> float:
    return x.max().item() if x.numel() else 0.
