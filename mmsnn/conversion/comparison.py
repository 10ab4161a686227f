"""What two calls of a model have returned, compared value by value."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from math import inf

import torch

from .leaves import Leaf
from .tensor_error import relative_error, share_of_largest


@dataclass
class Comparison:
    """How the results of two calls differ.

    Attributes:
        error (float): Largest difference, see
            :func:`.tensor_error.relative_error`; infinite where types,
            shapes, keys, numbers of elements, or values that are no
            floating-point numbers differ.
        path (str): Where that is; empty if nothing differs.
        share (float): Largest difference relative to the largest value of
            its tensor.
        not_compared (list[str]): Paths and types of what can't be compared.
    """

    error: float = 0.
    path: str = ''
    not_compared: list[str] = field(default_factory=list)
    share: float = 0.

    def add(self, error: float, path: str,
            share: float | None = None) -> None:
        """Note a difference.

        Args:
            error (float): How large it is.
            path (str): Where.
            share (float, optional): Relative to the largest value. Defaults
                to None: the same.
        """
        self.share = max(self.share, error if share is None else share)
        if error > self.error:
            self.error, self.path = error, path


def compare_leaves(first: Sequence[Leaf], second: Sequence[Leaf],
                   dtype: torch.dtype = torch.float64,
                   rounding: Sequence[torch.Tensor | None] = ()
                   ) -> Comparison:
    """Compare the leaves of two results.

    Args:
        first (Sequence[Leaf]): Those of the first, taken before the second
            call.
        second (Sequence[Leaf]): Those of the second.
        dtype (torch.dtype): In which both were computed. Tensors of shorter
            types may differ by their own rounding. Defaults to float64.
        rounding (Sequence[Tensor | None]): By how much each leaf may differ,
            see :func:`.rounding.measure_rounding`. Defaults to (): by nothing.

    Returns:
        Comparison: The differences.

    Example:
        >>> from mmsnn.conversion.leaves import leaves
        >>> first = leaves(dict(y=[1., 4.], n=2))
        >>> second = leaves(dict(y=[1., 3.], n=2))
        >>> compare_leaves(first, second)
        Comparison(error=0.25, path="results['y']", not_compared=[],
                   share=0.25)
        >>> compare_leaves(first, leaves(dict(y=None)))
        Comparison(error=inf, path='results', not_compared=[], share=inf)
    """
    found = Comparison()
    for leaf in (*first, *second):
        if leaf.opaque:
            name = f'{leaf.path} ({leaf.opaque})'
            if name not in found.not_compared:
                found.not_compared.append(name)
    for a, b, allowed in zip(first, second, rounding or repeat(None)):
        if not _same(a[:2], b[:2]):
            found.add(inf, a.path)
            break  # what follows belongs to different things
        if a.tensor is None:
            continue
        if a.version is not None and a.version != a.tensor._version:
            found.not_compared.append(f'{a.path} (the spike-train form has '
                                      'written into the same tensor)')
        found.add(
            relative_error(a.tensor, b.tensor, dtype, allowed), a.path,
            share_of_largest(a.tensor, b.tensor, allowed))
    else:
        if len(first) != len(second):
            found.add(inf, 'results')
    return found


def same_structure(first: Sequence[Leaf], second: Sequence[Leaf]) -> bool:
    """Whether two results differ in nothing but the values of tensors.

    Args:
        first (Sequence[Leaf]): Leaves of the first.
        second (Sequence[Leaf]): Leaves of the second.

    Returns:
        bool: Whether types, shapes, keys, integers and strings are equal.

    Example:
        >>> from mmsnn.conversion.leaves import leaves
        >>> same_structure(leaves([1, 0.5]), leaves([1, 0.25]))
        True
        >>> same_structure(leaves([1, 'a']), leaves([1, 'b']))
        False
    """
    return len(first) == len(second) and all(
        _same(a[:2], b[:2]) for a, b in zip(first, second))


def _same(first: tuple, second: tuple) -> bool:
    try:
        return first == second
    except (RuntimeError, ValueError):  # such as tensors within a key
        return False
