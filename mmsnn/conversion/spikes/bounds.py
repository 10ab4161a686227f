"""Constants that bound spikes, such as those of ``clamp``.

A bound that is a whole number of spikes, k times the scale, is a constant
train: one that fires in the first k sub-steps. The larger of it and of spikes
is an OR in each sub-step, the smaller an AND.
"""

from typing import Any

import torch

from mmsnn.conversion.rules.rule import Call, Rule


def largest_value(spikes) -> float:
    """What the most spikes of a neuron come to, as its type rounds it.

    Args:
        spikes (SpikeTensor): Spikes.
    """
    most = torch.tensor(spikes.max_spikes, dtype=spikes.dtype)
    return most.mul_(spikes.scale).item()


def bound_counts(bound: Any, spikes, low: bool) -> torch.Tensor | None:
    """How many spikes a bound stands for.

    Of a low bound below 0, or a high one above all that spikes can be, those
    numbers: it makes no difference.

    Args:
        bound: A tensor or a number. A tensor is rounded as spikes are; a
            number must be k times the scale as it is.
        spikes (SpikeTensor): What it bounds.
        low (bool): Whether the larger of both is taken, not the smaller.

    Returns:
        Tensor | None: Whole numbers 0..D, in the shape of the bound. None if
        one of its elements is no such bound.

    Example:
        >>> from mmsnn.conversion import SpikeTensor
        >>> spikes = SpikeTensor([torch.tensor([0., 0.5, 1.])], 0.25, 4, False)
        >>> bound_counts(torch.tensor([-1., 0.75]), spikes, low=True)
        tensor([0., 3.])
        >>> bound_counts(7, spikes, low=False)
        tensor(4., dtype=torch.float64)
        >>> bound_counts(0.3, spikes, low=False) is None
        True
    """
    if isinstance(bound, torch.Tensor):
        if torch.result_type(spikes.parts[0], bound) != spikes.dtype:
            return None
        values = bound.to(spikes.dtype)
    elif isinstance(bound, complex):
        return None
    else:
        values = torch.tensor(
            float(bound), dtype=torch.float64, device=spikes.device)
    counts = (values / spikes.scale).round()
    valid = (counts * spikes.scale == values) & (counts >= 0) & (
        counts <= spikes.max_spikes)
    beyond = values <= 0 if low else values >= largest_value(spikes)
    counts = torch.where(beyond, 0 if low else spikes.max_spikes, counts)
    return counts.to(values.dtype) if bool((valid | beyond).all()) else None


def bounds_of(kind: type, rule: Rule, call: Call, spikes) -> dict | None:
    """The constants among what bounds spikes.

    Args:
        kind (type): :class:`.SpikeTensor`.
        rule (Rule): Names them.
        call (Call): Has them as arguments.
        spikes (SpikeTensor): What they bound.

    Returns:
        dict[str, Tensor] | None: By name, see :func:`bound_counts`; None if
        one of them is no whole number of spikes.
    """
    found = {}
    for name in (*rule.lows, *rule.highs):
        bound = call.get(name)
        if bound is None or isinstance(bound, kind):
            continue
        found[name] = bound_counts(bound, spikes, name in rule.lows)
        if found[name] is None:
            return None
    return found


def change_nothing(rule: Rule, bounds: dict, spikes) -> bool:
    """Whether spikes are the same within bounds, and have the same shape.

    Args:
        rule (Rule): That of the op.
        bounds (dict[str, Tensor]): From :func:`bounds_of`.
        spikes (SpikeTensor): What they bound.
    """
    return all(
        bool((counts == (0 if name in rule.lows else
                         spikes.max_spikes)).all())
        and torch.broadcast_shapes(counts.shape, spikes.shape) == spikes.shape
        for name, counts in bounds.items())


def with_trains(bounds: dict, func, args: tuple, kwargs: dict,
                substep: int, dtype: torch.dtype) -> tuple[tuple, dict]:
    """Arguments of an op for the train of one sub-step.

    Args:
        bounds (dict[str, Tensor]): From :func:`bounds_of`.
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
        substep (int): 0..D - 1.
        dtype (torch.dtype): That of the trains.

    Returns:
        tuple[tuple, dict]: The arguments, with a binary train in the place
        of each bound.
    """
    args, kwargs = list(args), dict(kwargs)
    for i, argument in enumerate(func._schema.arguments):
        if argument.name not in bounds:
            continue
        given, key = (args, i) if i < len(args) else (kwargs, argument.name)
        train = (bounds[argument.name] > substep).to(dtype)
        given[key] = train if isinstance(
            given[key], torch.Tensor) else train.item()
    return tuple(args), kwargs
