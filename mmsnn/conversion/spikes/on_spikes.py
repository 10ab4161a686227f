"""What ops that leave spikes spikes do with them, by the table of rules."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from mmsnn.conversion.rules.rule import Call, Effect, Rule

from .bounds import bounds_of, change_nothing, largest_value, with_trains
from .origin import HERE


def effect_on(kind: type,
              rule: Rule,
              func,
              args: tuple,
              kwargs: dict,
              into: torch.Tensor | None = None) -> Effect:
    """What an op does to spikes in a call.

    That is what its rule says if all elements of the result come from spikes
    of one kind (scale, D and T), are zero (a neuron that does not fire), or
    are bounds of a whole number of spikes. Bounds that no spikes reach leave
    them unchanged.

    Args:
        kind (type): :class:`.SpikeTensor`.
        rule (Rule): That of the op.
        func (OpOverload): The op.
        args (tuple): Its arguments, at least one of them spikes.
        kwargs (dict): Its keyword arguments.
        into (SpikeTensor, optional): What the op writes into.

    Returns:
        Effect: ``REAL`` if the op works on values.
    """
    if rule.effect not in (Effect.MOVED, Effect.EXTREME, Effect.UNCHANGED):
        return Effect.REAL
    call = Call(func, args, kwargs)
    spiking = [] if into is None else [into]
    others = False
    for name in rule.data:
        for x in elements(call, (name, )):
            if isinstance(x, kind):
                spiking.append(x)
            elif name in rule.lows or name in rule.highs:
                continue
            elif _is_zero(x):
                others = True
            else:
                return Effect.REAL
    if len(set(map(_kind, spiking))) != 1:
        return Effect.REAL
    spikes = spiking[0]
    if rule.when is not None and not rule.when(call, largest_value(spikes)):
        return Effect.REAL
    if rule.lows or rule.highs:
        bounds = bounds_of(kind, rule, call, spikes)
        if bounds is None:
            return Effect.REAL
        alone = not others and all(x is spikes for x in spiking)
        if bounds and alone and change_nothing(rule, bounds, spikes):
            return Effect.UNCHANGED
    return rule.effect


def _kind(spikes) -> tuple:
    return spikes.scale, spikes.max_spikes, spikes.binary, spikes.timesteps


def elements(call: Call, names: tuple[str, ...]) -> Iterator[Any]:
    """Arguments whose elements the result may hold.

    Args:
        call (Call): The call.
        names (tuple[str]): Their names, see :class:`.Rule`.

    Yields:
        Any: Tensors, numbers; False where the op has no such argument.
    """
    for name in names:
        x = call.get(name, False)
        if isinstance(x, (list, tuple)):
            yield from x
        else:
            yield x


def _is_zero(x: Any) -> bool:
    """Whether nothing in it could be a spike."""
    if isinstance(x, torch.Tensor):
        return not x.is_complex() and not bool(x.any())
    return x is not None and x is not False and x == 0


def move(kind: type, rule: Rule, func, args: tuple, kwargs: dict) -> Any:
    """Rearrange spikes, train by train.

    Args:
        kind (type): :class:`.SpikeTensor`.
        rule (Rule): That of the op.
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.

    Returns:
        SpikeTensor | list[SpikeTensor]: What the op returns of each train.
    """
    spikes = first_spikes(kind, args, kwargs)
    results = _by_part(kind, spikes, func, args, kwargs)
    places = _places(kind, func, args, kwargs)
    if isinstance(results[0], (list, tuple)):
        return [
            spikes.like(
                parts, _recorded(kind, func, args, kwargs, i), rule.permutes,
                places[i] if places else None)
            for i, parts in enumerate(zip(*results))
        ]
    return spikes.like(results, _recorded(kind, func, args, kwargs, None),
                       rule.permutes, places)


def write(kind: type, func, args: tuple, kwargs: dict, into) -> None:
    """Write spikes or zeros into spikes, train by train.

    Args:
        kind (type): :class:`.SpikeTensor`.
        func (OpOverload): An op that writes.
        args (tuple): Its arguments, with ``into`` in the place of what it
            writes into.
        kwargs (dict): Its keyword arguments.
        into (SpikeTensor): Its parts, and its places, are written.
    """
    _by_part(kind, into, func, args, kwargs)
    into.places = _places(kind, func, args, kwargs, into.places)


def extreme(kind: type, rule: Rule, func, args: tuple, kwargs: dict) -> Any:
    """Spike counts by their order (the largest, the k-th), in each sub-step.

    Trains are unary, ``s[d] = 1`` where ``c >= d``: a maximum of counts is an
    OR in each sub-step, a minimum an AND, and the k-th largest fires where at
    least k do. Indices are those of the values.

    Args:
        kind (type): :class:`.SpikeTensor`.
        rule (Rule): That of the op.
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.

    Returns:
        SpikeTensor | tuple: As the op returns it.
    """
    spikes = first_spikes(kind, args, kwargs)
    bounds = bounds_of(kind, rule, Call(func, args, kwargs), spikes)
    results = _by_part(kind, spikes, func, args, kwargs, bounds)
    if not isinstance(results[0], (list, tuple)):
        return spikes.like(
            results, _recorded(kind, func, args, kwargs, None), rule.permutes)
    if spikes.binary:
        decoded = tree_map(
            lambda x: x.decode() if isinstance(x, kind) else x,
            (args, kwargs))
        indices = func(*decoded[0], **decoded[1])[1]
    else:
        indices = results[0][1]
    values = spikes.like([r[0] for r in results],
                         _recorded(kind, func, args, kwargs, 0),
                         rule.permutes)
    return values, indices


def first_spikes(kind: type, args: tuple, kwargs: dict):
    """The first spikes among arguments.

    Args:
        kind (type): :class:`.SpikeTensor`.
        args (tuple): Arguments.
        kwargs (dict): Keyword arguments.

    Returns:
        SpikeTensor: The spikes.
    """
    return next(x for x in tree_leaves((args, kwargs)) if isinstance(x, kind))


def with_values(kind: type, rule: Rule, func, args: tuple,
                kwargs: dict) -> tuple[tuple, dict]:
    """Arguments with values for spikes that only say where others go, such
    as the grid of a sampling.

    Args:
        kind (type): :class:`.SpikeTensor`.
        rule (Rule): That of the op.
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.

    Returns:
        tuple[tuple, dict]: The arguments.
    """

    def given(name: str, x):
        return x if name in rule.data else tree_map(
            lambda y: y.decode() if isinstance(y, kind) else y, x)

    names = [argument.name for argument in func._schema.arguments]
    return (tuple(map(given, names, args)),
            {name: given(name, x) for name, x in kwargs.items()})


def _by_part(kind: type, spikes, func, args, kwargs,
             bounds: dict | None = None) -> list:
    """Results of an op for each train; ``bounds`` are trains, too."""
    results = []
    for i in range(len(spikes.parts)):
        args_, kwargs_ = args, kwargs
        if spikes.binary and bounds:
            args_, kwargs_ = with_trains(bounds, func, args, kwargs, i,
                                         spikes.dtype)
        args_, kwargs_ = tree_map(
            lambda x: x.parts[i] if isinstance(x, kind) else x,
            (tuple(args_), kwargs_))
        results.append(func(*args_, **kwargs_))
    return results


def _recorded(kind: type, func, args, kwargs, index: int | None):
    """The move, for :attr:`.Origin.moves`; None if it may differ next time,
    since another tensor has a say."""
    leaves = tree_leaves((args, kwargs))
    if sum(isinstance(x, torch.Tensor) for x in leaves) > 1:
        return None
    return recorded(kind, func, args, kwargs, index)


def recorded(kind: type, func, args, kwargs, index: int | None) -> tuple:
    """A move that is the same in each call.

    Args:
        kind (type): :class:`.SpikeTensor`.
        func (OpOverload): The op.
        args (tuple): Its arguments, one of them spikes.
        kwargs (dict): Its keyword arguments.
        index (int, optional): Of the spikes among its results.

    Returns:
        tuple: For :attr:`.Origin.moves`. Other tensors are copied, since the
        model may write into them later.
    """

    def keep(x):
        if isinstance(x, kind):
            return HERE
        return x.clone() if isinstance(x, torch.Tensor) else x

    args, kwargs = tree_map(keep, (tuple(args), kwargs))
    return func, args, kwargs, index


def _places(kind: type, func, args, kwargs, into=None):
    """Places after a move: moved in the same way, as float64, which is exact
    below 2**53, since not every op moves integers. None if not known.

    Those of ``into`` are written.
    """
    spikes = [x for x in tree_leaves((args, kwargs)) if isinstance(x, kind)]
    if any(x.places is None for x in spikes):
        return None
    if 'as_strided' in func._schema.name and not all(
            _lie_alike(x.places, x.parts[0]) for x in spikes):
        return None

    def place(x):
        if isinstance(x, kind):
            return x.places if func.is_view else x.places.double()
        floating = isinstance(x, torch.Tensor) and x.is_floating_point()
        return x.double() if floating else x

    args, kwargs = tree_map(
        place,
        (tuple(args), {k: v for k, v in kwargs.items() if k != 'dtype'}))
    moved = tree_map(lambda x: x.long(), func(*args, **kwargs))
    return moved if into is None else into.copy_(moved)


def _lie_alike(x: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether elements of two tensors stand at the same places in memory."""
    sizes = [z.untyped_storage().nbytes() // z.element_size() for z in (x, y)]
    return sizes[0] >= sizes[1] and (x.stride(), x.storage_offset()) == (
        y.stride(), y.storage_offset())
