"""Counting without watching every op.

Recording a call op by op costs some microseconds per op. Where a model does
the same on every batch, one recorded call is enough: what real-valued ops
cost follows from shapes, and what spikes cost follows from what the neurons
fire. A plan keeps the former and recomputes the latter, exactly.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch.utils._pytree import tree_flatten, tree_map

from mmsnn.conversion.spikes.spike_tensor import Origin, SpikeTensor
from mmsnn.trace import MOST_IMAGES, OpRecord, OpTrace, RunStatistics, amounts

from .synapses import fan_out, synapse_cost

#: Metainfo that differs between images but not between what is computed.
_NAMES = ('img_path', 'seg_map_path', 'img_id', 'sample_idx', 'ori_filename')


class PlanMismatch(Exception):
    """A call did not do what the plan says."""


def signature(arguments) -> tuple | None:
    """What the ops of a call depend on, bar the values of its tensors.

    Args:
        arguments: Positional and keyword arguments, nested.

    Returns:
        tuple | None: None where an argument is of a kind that is not known.

    Example:
        >>> one = signature(([torch.zeros(2, 3)], dict(mode='predict')))
        >>> one == signature(([torch.ones(2, 3)], dict(mode='predict')))
        True
        >>> one == signature(([torch.ones(2, 3)], dict(mode='tensor')))
        False
    """
    leaves, structure = tree_flatten(arguments)
    parts = [str(structure)]  # names of keywords
    for x in leaves:
        if isinstance(x, torch.Tensor):
            parts.append((tuple(x.shape), x.dtype))
        elif isinstance(x, BaseDataElement):
            parts.append(
                tuple(
                    sorted((k, repr(v)) for k, v in x.metainfo_items()
                           if k not in _NAMES)))
        elif x is None or isinstance(x, (str, int, float, bool)):
            parts.append((type(x), x))
        else:
            return None
    return tuple(parts)


class CountingPlan:
    """What one recorded call did, filled by the recorder; and what was
    counted since in calls that did the same.

    Attributes:
        static (bool): Whether another call of the same signature does the
            same ops: no op's result shape depended on values.

    Args:
        image_shape (tuple[int]): Shape of an image as the model got it.
    """

    def __init__(self, image_shape: tuple = ()) -> None:
        self.image_shape = image_shape
        self.static = True
        self._ops: list[_Op] = []
        self._neurons: list[_Neuron] = []
        self._sources: list[tuple] = []
        self._calls = 0
        self._images = 0
        self._statistics = RunStatistics()

    def watch(self, func) -> None:
        """Look whether an op makes the plan useless."""
        if (torch.Tag.data_dependent_output in func.tags
                or torch.Tag.dynamic_output_shape in func.tags):
            self.static = False

    def connect(self, key: tuple, sources: tuple, operands: tuple) -> None:
        """Note what an op has read, see :meth:`OpTrace.connect`."""
        self._sources.append((key, sources, operands))

    def add_static(self, key, new: dict, amounts: dict) -> None:
        """Note an op whose cost does not depend on spikes."""
        self._ops.append(_Op(key, new, amounts))

    def add_neuron(self, path: str, key, new: dict, amounts: dict,
                   substeps: int) -> int:
        """Note that a neuron fired; returns its number."""
        op = _Neuron(key, new, amounts, path, torch.Size(
            amounts['input_shape']), substeps)
        self._ops.append(op)
        self._neurons.append(op)
        return len(self._neurons) - 1

    def add_synapse(self, key, new: dict, amounts: dict, func, args,
                    output) -> None:
        """Note a synapse; its operands remember which neuron fired them."""
        del amounts['sops'], amounts['in_spikes']
        spiking = [x for x in args if isinstance(x, SpikeTensor)]
        if any(x.origin is None for x in spiking):
            self.static = False
            return
        op = _Synapse(key, new, amounts,
                      max(spiking, key=lambda x: x.origin.neuron).origin)
        self._ops.append(op)
        source = self._neurons[op.origin.neuron]
        if len(spiking) == 1 and op.origin.whole:
            op.fan_out = fan_out(func, args, output)
            if isinstance(op.fan_out, int):
                return
            if not op.origin.moves and source.takes(op.fan_out):
                return
        op.again = (func, tree_map(_template, tuple(args)), _template(output))
        source.due.append(op)
        for x in spiking:
            neuron = self._neurons[x.origin.neuron]
            neuron.last_use = max(neuron.last_use, op.origin.neuron)

    def replay(self, images: int) -> 'Replay':
        """Count one more call."""
        return Replay(self, images)

    def add_call(self, replay: 'Replay') -> None:
        """Keep what a finished call has counted."""
        self._calls += 1
        self._images += replay.images
        totals = Counter(self._fixed_amounts)
        for neuron, levels, reached in zip(self._neurons, replay.levels,
                                           replay.reached):
            neuron.levels += levels
            neuron.reached = reached
            neuron.fired_now = levels.tolist()
            neuron.fired = sum(neuron.fired_now)
            totals['spikes'] += neuron.fired
        for op, cost in replay.costs:
            op.found = cost['sops'], cost['in_spikes']
        for op in self._ops:
            totals['sops'] += op.end_run(self._neurons, replay.images)
        self._statistics.add(totals, replay.images)

    @cached_property
    def _fixed_amounts(self) -> dict[str, int]:
        """What is the same in every call."""
        return amounts(
            OpRecord(op.new['module'], op.new['kind'], op.new['op'],
                     **op.amounts) for op in self._ops)

    def flush(self, trace: OpTrace) -> None:
        """Move everything counted into a trace."""
        if not self._calls:
            return
        trace.images += self._images
        trace.statistics.include(self._statistics)
        trace.image_shapes[self.image_shape] += self._images
        for op in self._ops:
            trace.get(op.key, **op.new).add_call(
                **OpRecord.times(self._calls, op.amounts), **op.counted())
        for edges in self._sources:
            trace.connect(*edges)
        for op in self._ops:
            op.forget()
        self._calls = self._images = 0
        self._statistics = RunStatistics()


@dataclass(eq=False)
class _Op:
    """An op of the plan: where it goes in the trace, and its amounts."""
    key: tuple
    new: dict
    amounts: dict

    def end_run(self, neurons: list['_Neuron'], images: int) -> int:
        """Count a call; returns its SOPs."""
        return 0

    def counted(self) -> dict:
        """Amounts that depended on spikes, since the last :meth:`forget`."""
        return {}

    def forget(self) -> None:
        """Start to count anew."""
        self.by_image: list[list[int]] = []

    def keep(self, counts: list[int], images: int) -> None:
        """Keep the counts of a call that was of one image."""
        if images == 1 and len(self.by_image) < MOST_IMAGES:
            self.by_image.append(counts)


@dataclass(eq=False)
class _Neuron(_Op):
    """``reach`` is what it counts its spikes against while it fires."""
    path: str
    shape: torch.Size
    substeps: int
    reach: torch.Tensor | None = None
    due: list['_Synapse'] = field(default_factory=list)
    last_use: int = -1
    fired_now: list[int] = field(default_factory=list)
    fired: int = 0
    reached: int = 0

    def __post_init__(self) -> None:
        self.forget()

    def takes(self, reach: torch.Tensor) -> bool:
        """Whether it can count against this (one it has, or its first)."""
        if self.reach is None:
            self.reach = reach
        return torch.equal(self.reach, reach)

    def end_run(self, neurons, images: int) -> int:
        self.squares += self.fired**2 / images
        self.keep(self.fired_now, images)
        return 0

    def counted(self) -> dict:
        return dict(
            spikes=self.levels.tolist(), by_image=self.by_image,
            squares=dict(emitted=self.squares))

    def forget(self) -> None:
        super().forget()
        self.levels = torch.zeros(self.substeps, dtype=torch.int64)
        self.squares = 0.0


@dataclass(eq=False)
class _Synapse(_Op):
    """``again`` is what to compute its cost from, where that needs more than
    the number of spikes and ``fan_out``; ``found`` what came of it."""
    origin: Origin
    fan_out: Any = None
    again: tuple | None = None
    found: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.forget()

    def end_run(self, neurons, images: int) -> int:
        if self.again is not None:
            sops, spikes = self.found
        else:
            source = neurons[self.origin.neuron]
            spikes = source.fired
            sops = spikes * self.fan_out if isinstance(
                self.fan_out, int) else source.reached
        self.sops += sops
        self.in_spikes += spikes
        self.squares['sops'] += sops**2 / images
        self.squares['in_spikes'] += spikes**2 / images
        self.keep([sops], images)
        return sops

    def counted(self) -> dict:
        return dict(
            sops=self.sops, in_spikes=self.in_spikes, by_image=self.by_image,
            squares=self.squares)

    def forget(self) -> None:
        super().forget()
        self.sops = self.in_spikes = 0
        self.squares = dict(sops=0.0, in_spikes=0.0)


def _template(x: Any) -> Any:
    """An argument of an op without its values."""
    if isinstance(x, SpikeTensor):
        return x.origin
    if isinstance(x, torch.Tensor):
        return torch.empty_strided(
            x.shape, x.stride(), dtype=x.dtype, device='meta')
    return x


class Replay:
    """Counts one call by a plan. Nothing reaches the plan before
    :meth:`finish`."""

    def __init__(self, plan: CountingPlan, images: int) -> None:
        self.plan = plan
        self.images = images
        substeps = [n.substeps for n in plan._neurons]
        self.levels = torch.zeros(
            sum(substeps), dtype=torch.int64).split(substeps)
        self.reached = [0] * len(substeps)
        self.costs: list[tuple] = []  # (synapse, cost)
        self._next = 0
        self._fired: dict[int, tuple] = {}  # (values, function to wrap them)

    def expect(self, path: str, membrane: torch.Tensor) -> tuple:
        """What a neuron that is about to fire has to count.

        Returns:
            tuple: Its levels, to be added to, and ``reach``.

        Raises:
            PlanMismatch: If this neuron was not to fire now, or not on this
                shape.
        """
        if self._next >= len(self.levels):
            raise PlanMismatch
        neuron = self.plan._neurons[self._next]
        if path != neuron.path or membrane.shape != neuron.shape:
            raise PlanMismatch
        return self.levels[self._next], neuron.reach

    def fired(self, values: torch.Tensor, reached: int,
              wrap: Callable[[torch.Tensor], SpikeTensor]) -> None:
        """Take note of what the expected neuron fired."""
        number, self._next = self._next, self._next + 1
        self.reached[number] = reached
        neuron = self.plan._neurons[number]
        if neuron.last_use >= 0:
            self._fired[number] = values, wrap
        for op in neuron.due:
            func, args, output = op.again
            args = [self._operand(x) for x in args]
            self.costs.append((op, synapse_cost(func, args, output)))
        if neuron.due:
            for done in [
                    n for n in self._fired
                    if self.plan._neurons[n].last_use <= number
            ]:
                del self._fired[done]

    def _operand(self, x: Any) -> Any:
        if not isinstance(x, Origin):
            return x
        values, wrap = self._fired[x.neuron]
        return wrap(x.replay(values))

    def finish(self) -> None:
        """Add the call to the plan.

        Raises:
            PlanMismatch: If neurons are left that have not fired.
        """
        if self._next != len(self.levels):
            raise PlanMismatch
        self.plan.add_call(self)
