"""Reading the keys ``out_indices`` and ``out_strides`` of a backbone."""

from collections.abc import Sequence
from itertools import combinations


def read_outputs(
    out_indices: Sequence[int] | int | None,
    out_strides: Sequence[int] | None,
    strides: Sequence[int],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Complete and check what a backbone is to return.

    Args:
        out_indices (Sequence[int] | int, optional): Stages. None takes the
            last one, or those that fit ``out_strides``, the deepest where
            several do.
        out_strides (Sequence[int], optional): Strides of the maps, the
            stages' own but for those from the last stage on. None takes the
            stages' own.
        strides (Sequence[int]): Stride of each stage.

    Returns:
        tuple[tuple[int, ...], tuple[int, ...]]: The stages that give maps,
        and how often each map from the last of them on is downsampled.

    Raises:
        ValueError: If a key is out of range or the stages can't give these
            strides; the message names the key and what is valid.

    Example:
        >>> stages = (2, 4, 8, 16, 16)
        >>> read_outputs((1, 4), None, stages)
        ((1, 4), (0,))
        >>> read_outputs((2, 3, 4), (8, 16, 32), stages)
        ((2, 3, 4), (1,))
        >>> read_outputs(None, (8, 16, 32, 128), stages)
        ((2, 3, 4), (1, 3))
    """
    last = len(strides) - 1
    if isinstance(out_indices, int):
        out_indices = (out_indices, )
    if out_indices is not None and (not out_indices or any(
            i not in range(last + 1) for i in out_indices)):
        raise ValueError(f'out_indices must name stages 0..{last}, '
                         f'but is {out_indices!r}')
    if out_strides is None:
        return tuple(out_indices or (last, )), (0, )
    wanted = _integers(out_strides)
    if out_indices is not None:
        stages = tuple(sorted(set(out_indices)))
        own = [strides[i] for i in stages]
        found = _doublings(wanted, own)
        if found is None:
            doubled = (*own[:-1], 2 * own[-1])
            raise ValueError(
                f'out_strides must be {_text(own)}, the strides of '
                f'out_indices = {stages}, of which the last may be doubled '
                f'and be followed by larger ones ({_text(doubled)}; '
                f'{_text((*doubled, 4 * own[-1]))}), but is {out_strides!r}')
        return stages, found
    for number in range(min(len(wanted), last + 1), 0, -1):
        for stages in reversed(list(combinations(range(last + 1), number))):
            found = _doublings(wanted, [strides[i] for i in stages])
            if found is not None:
                return stages, found
    raise ValueError(
        f'out_strides must be taken from {_text(strides)}, the strides of the '
        f'stages, in this order, and may go on with {2 * strides[-1]}, '
        f'{4 * strides[-1]} and so on, but is {out_strides!r}')


def _integers(values: Sequence[int]) -> tuple[int, ...]:
    if (not isinstance(values, (list, tuple)) or not values
            or any(not isinstance(v, int) or v < 1 for v in values)):
        raise ValueError('out_strides must be a list of strides, such as '
                         f'(8, 16, 32), but is {values!r}')
    return tuple(values)


def _doublings(wanted: Sequence[int],
               own: Sequence[int]) -> tuple[int, ...] | None:
    """How often maps from the last of strides ``own`` on are downsampled to
    have the strides wanted; None where that does not lead there."""
    *first, last = own
    behind = wanted[len(first):]
    times = tuple((stride // last).bit_length() - 1 for stride in behind)
    leads = (list(wanted[:len(first)]) == first and behind
             and min(times) >= 0
             and all(last * 2**k == stride for k, stride in zip(times, behind))
             and all(a < b for a, b in zip(times, times[1:])))
    return times if leads else None


def _text(strides: Sequence[int]) -> str:
    return ', '.join(map(str, strides))
