"""Which neurons of a population fire how often, from one image."""

import math
from collections.abc import Sequence

Shares = tuple[float, ...]


def sampled_profile(counts: Sequence[Sequence[Sequence[int]]],
                    axes: Sequence[int | None], shape: tuple[int, ...],
                    spikes: Sequence[float]) -> tuple:
    """Make the ``profile`` of a :class:`Population` from a sample.

    A sub-step in which the sample has no spike gets the shares of all
    sub-steps together. A neuron fires at most once in a sub-step: where the
    product of its shares says more, all shares are moved towards equal ones,
    no further than needed.

    Args:
        counts (Sequence): For each sub-step and each axis of a record, the
            spikes at each index (``axis_spikes`` of a record).
        axes (Sequence[int | None]): For each axis of the population, which
            of these axes it is; None if the record has no such axis.
        shape (tuple[int]): Shape of the population. An axis that has another
            length in the record (regions of interest, whose number differs)
            gets equal shares.
        spikes (Sequence[float]): Mean spikes of the population in each
            sub-step.

    Returns:
        tuple: For each sub-step and axis the share of the spikes at each
        index. Empty if the sample has no spikes.

    Example:
        >>> sampled_profile([[[4], [3, 1]]], [1], (2,), [1.0])
        (((0.75, 0.25),),)
        >>> sampled_profile([[[4], [4, 0]]], [1], (2,), [1.5])  # 1 and 0.5
        (((0.66..., 0.33...),),)
    """
    if len(counts) != len(spikes) or not any(sum(c[0]) for c in counts):
        return ()
    pooled = [[sum(numbers) for numbers in zip(*axis)]
              for axis in zip(*counts)]
    profile = []
    for sample, fired in zip(counts, spikes):
        chosen = sample if any(sample[0]) else pooled
        shares = [
            _shares(() if axis is None else chosen[axis], length)
            for axis, length in zip(axes, shape)
        ]
        profile.append(_possible(shares, fired))
    return tuple(profile)


def _shares(numbers: Sequence[int], length: int) -> Shares:
    total = sum(numbers)
    if len(numbers) != length or not total:
        return (1 / length, ) * length
    return tuple(n / total for n in numbers)


def _possible(shares: list[Shares], fired: float) -> tuple[Shares, ...]:
    """Shares, mixed with equal ones until no neuron fires more than once."""
    peaks = [max(axis) for axis in shares]
    if fired * math.prod(peaks) <= 1:
        return tuple(shares)
    low, high = 0.0, 1.0  # part of equal shares
    for _ in range(40):
        part = (low + high) / 2
        mixed = math.prod(
            _mix(peak, len(axis), part) for peak, axis in zip(peaks, shares))
        low, high = (part, high) if fired * mixed > 1 else (low, part)
    return tuple(
        tuple(_mix(share, len(axis), high) for share in axis)
        for axis in shares)


def _mix(share: float, length: int, part: float) -> float:
    return (1 - part) * share + part / length
