"""Spikes that were written into a plain tensor are still known as spikes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_map

from mmsnn.conversion.rules.moves import UNSET
from mmsnn.conversion.rules.rule import Call, Effect
from mmsnn.conversion.rules.table import find_rule
from mmsnn.conversion.spikes.on_spikes import (
    effect_on,
    elements,
    recorded,
    write,
)
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor, decode
from mmsnn.conversion.spikes.writes import changes_shape, written
from mmsnn.conversion.upstream.nested import tensors

from .tensor_sources import TensorSources, memory_of

#: What leaves spikes spikes although other tensors have a say.
_KEEPS = (Effect.MOVED, Effect.EXTREME)

#: PyTorch's ``quantile`` writes into what it has sorted: of a plain tensor,
#: that is values.
_WRITTEN_INTO = (torch.ops.aten.sort.default, torch.ops.aten.sort.stable)


class SpikeMemory:
    """Memory of plain tensors that a model has filled with spikes.

    ``y = torch.zeros(...); y[:, :2] = spikes`` makes a plain tensor whose
    values are spikes, and zeros, which are neurons that do not fire. For
    memory that was zero or unset before, trains are kept beside it and
    written wherever it is. Whatever else writes into it makes it real.

    Args:
        sources (TensorSources): Knows what wrote into a tensor.

    Example:
        >>> memory = SpikeMemory(TensorSources(torch.nn.Module(), []))
        >>> y, spikes = torch.zeros(3), SpikeTensor([torch.ones(2)], 1., 1, 0)
        >>> write = torch.ops.aten.copy_.default, (y[:2], spikes), {}
        >>> _ = memory.read(*write)
        >>> _ = write[0](*write[1])
        >>> memory.note(*write, out=None)
        >>> (found, ), _ = memory.read(torch.ops.aten.relu.default, (y, ), {})
        >>> found.spikes
        2
    """

    def __init__(self, sources: TensorSources) -> None:
        self._sources = sources
        self._trains: dict[Any, SpikeTensor] = {}  # flat, by memory
        self._random = False  # whether numbers were drawn in this call
        self._unset: set = set()  # memory whose values nothing has set yet
        self._empty: set = set()  # what is about to be written for the first

    def read(self, func, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Arguments of an op, with spikes for tensors that hold spikes.

        Args:
            func (OpOverload): The op, before it runs.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.

        Returns:
            tuple[tuple, dict]: The same where nothing holds spikes. What the
            op writes into, or gives another view of, stays as it is.
        """
        rule = find_rule(func)
        moves = rule is not None and rule.effect in _KEEPS
        if func.is_view or func in _WRITTEN_INTO or not (
                self._trains or moves):
            return args, kwargs
        written = list(_written(func, args, kwargs))
        if self._trains:
            args, kwargs = tree_map(
                lambda x: self._spikes_in(x, written), (tuple(args), kwargs))
        if not moves or _spiking(args, kwargs) is None:
            return args, kwargs
        if written:
            self._empty = {memory_of(x) for x in written if self._is_empty(x)}
        elif not func._schema.is_mutable and any(
                self._differs(x)
                for x in elements(Call(func, args, kwargs), rule.data)):
            # It may be zero now, and something else for the next image.
            return tree_map(decode, (tuple(args), kwargs))
        return args, kwargs

    def note(self, func, args: tuple, kwargs: dict, out: Any) -> None:
        """Note what an op has written.

        Args:
            func (OpOverload): The op, after it has run.
            args (tuple): Its arguments, after :meth:`read`.
            kwargs (dict): Its keyword arguments.
            out: What it returned.
        """
        if func._schema.name.split('::')[1] in UNSET:
            self._unset.update(map(memory_of, tensors(out)))
        elif func._schema.is_mutable and not _only_shape(func):
            for x in _written(func, args, kwargs):
                self._write(func, args, kwargs, x)
            self._empty = set()
        self._random |= torch.Tag.nondeterministic_seeded in func.tags
        for i, x in enumerate(tensors(out)):
            if isinstance(x, SpikeTensor) and x.origin is None:
                index = i if isinstance(out, (list, tuple)) else None
                self._set_origin(x, func, args, kwargs, index)

    def _set_origin(self, x: SpikeTensor, func, args, kwargs,
                    index: int | None) -> None:
        """Note how spikes were moved, where constants had a say in that."""
        found = list(tensors((args, kwargs)))
        spikes = [y for y in found if isinstance(y, SpikeTensor)]
        constant = not self._random and not any(
            self._differs(y) or self._sources.holds(y) for y in found
            if not isinstance(y, SpikeTensor))
        if constant and len(spikes) == 1 and spikes[0].origin is not None:
            x.origin = spikes[0].origin.moved(
                recorded(SpikeTensor, func, args, kwargs, index), False)

    def _differs(self, x: Any) -> bool:
        """Whether a plain tensor may hold other values for other inputs."""
        return isinstance(x, torch.Tensor) and not isinstance(
            x, SpikeTensor) and self._sources.depend_on_input(
                self._sources.of(x))

    def forget(self, arguments: Any) -> None:
        """Note that something unseen may have written into tensors.

        Args:
            arguments: Tensors, in nested lists, tuples and dicts.
        """
        for x in tensors(arguments):
            if not isinstance(x, SpikeTensor):
                self._trains.pop(memory_of(x), None)
                self._unset.discard(memory_of(x))

    def _spikes_in(self, x: Any, written: list) -> Any:
        """What a tensor holds, if that is spikes and nothing else."""
        if not isinstance(x, torch.Tensor) or isinstance(
                x, SpikeTensor) or any(x is w for w in written):
            return x
        flat = self._trains.get(memory_of(x))
        if flat is None or x.dtype != flat.dtype:
            return x
        spikes = _view(flat, x)
        if not torch.allclose(spikes.decode(), x):
            del self._trains[memory_of(x)]
            return x
        spikes.sources = self._sources.of(x)
        return spikes

    def _is_empty(self, x: torch.Tensor) -> bool:
        """Whether the memory of a tensor is unset, or all zero."""
        return memory_of(x) in self._unset or not bool(_flat(x).any())

    def _write(self, func, args, kwargs, x: torch.Tensor) -> None:
        """Write beside the memory of a tensor what an op wrote into it."""
        memory = memory_of(x)
        self._unset.discard(memory)
        flat = self._trains.pop(memory, None)
        if flat is not None and flat.shape != _flat(x).shape:
            return  # it was resized
        if flat is None:
            spikes = _spiking(args, kwargs)
            if spikes is None or memory not in self._empty:
                return
            flat = _silent(spikes, x)
        into, rule = _view(flat, x), find_rule(func)
        args, kwargs = tree_map(lambda a: into if a is x else a,
                                (tuple(args), kwargs))
        effect = Effect.REAL if rule is None else effect_on(
            SpikeTensor, rule, func, args, kwargs, into)
        if effect is Effect.MOVED:
            write(SpikeTensor, func, args, kwargs, into)
            if into.places is None:
                flat.places = None
        if effect in (Effect.MOVED, Effect.UNCHANGED):
            self._trains[memory] = flat


def _only_shape(func) -> bool:
    """Whether an op shows the same memory in another shape, and no more."""
    return changes_shape(func) and find_rule(func).effect is Effect.MOVED


def _spiking(args, kwargs) -> SpikeTensor | None:
    return next((x for x in tensors((args, kwargs))
                 if isinstance(x, SpikeTensor)), None)


def _written(func, args, kwargs) -> Iterator[torch.Tensor]:
    """Plain tensors that an op writes into."""
    return (x for x in written(func, args, kwargs)
            if not isinstance(x, SpikeTensor))


def _flat(x: torch.Tensor) -> torch.Tensor:
    """All that is in the memory of a tensor."""
    size = x.untyped_storage().nbytes() // x.element_size()
    return x.as_strided((size, ), (1, ), 0)


def _silent(spikes: SpikeTensor, x: torch.Tensor) -> SpikeTensor:
    """Spikes of a kind, as long as the memory of a tensor, none fired."""
    flat = _flat(x)
    places = spikes.places
    if places is not None:
        places = torch.zeros_like(flat, dtype=places.dtype)
    return SpikeTensor([torch.zeros_like(flat) for _ in spikes.parts],
                       spikes.scale, spikes.max_spikes, spikes.binary,
                       timesteps=spikes.timesteps, places=places)


def _view(flat: SpikeTensor, x: torch.Tensor) -> SpikeTensor:
    """The part that a tensor shows of its memory."""
    where = x.size(), x.stride(), x.storage_offset()
    places = flat.places
    return SpikeTensor(
        [p.as_strided(*where) for p in flat.parts], flat.scale,
        flat.max_spikes, flat.binary, timesteps=flat.timesteps,
        places=None if places is None else places.as_strided(*where))
