"""Counting calls without watching every op.

To record a call op by op costs some microseconds per op. Where a model runs
the same ops on each batch, one recorded call is enough. What an op on real
values costs follows from its shapes and is the same in each call. What a
synapse costs follows from the spikes that it gets, and is counted in each
call from what the neurons fire. Both ways of counting give the same amounts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch.utils._pytree import tree_flatten, tree_map

from mmsnn.conversion.spikes.spike_tensor import Origin, SpikeTensor
from mmsnn.trace import OpRecord, OpTrace, RunStatistics, total_amounts

from .planned_ops import (
    PlannedNeuron,
    PlannedOp,
    PlannedRelay,
    PlannedSynapse,
)
from .synapses import fan_out
from .tensor_sources import RecordKeys

#: Kinds of arguments that are compared.
_PLAIN = (str, int, float, bool, complex, torch.dtype, torch.device)

#: Metainfo that differs between images but not between what is computed.
_NAMES = ('img_path', 'seg_map_path', 'img_id', 'sample_idx', 'ori_filename')


def signature(arguments: Any) -> tuple | None:
    """What the ops of a call depend on, bar the values of its tensors.

    Args:
        arguments: Positional and keyword arguments, nested.

    Returns:
        tuple | None: None where an argument is of a kind that is not known,
        or holds such a thing.

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
            dense = x.layout is torch.strided
            parts.append((tuple(x.shape), x.stride() if dense else None,
                          x.dtype, x.device))
        elif isinstance(x, BaseDataElement):
            inside = signature(dict(x.items()))
            if inside is None:
                return None
            parts.append((inside, *sorted(
                (k, repr(v)) for k, v in x.metainfo_items()
                if k not in _NAMES)))
        elif x is None or isinstance(x, _PLAIN):
            parts.append((type(x), x))
        else:
            return None
    return (*parts, torch.get_default_dtype())


class CountingPlan:
    """Says how to count calls that run the same ops as a recorded one.

    While a call is recorded, the recorder adds each op. Further calls are
    counted by a :class:`.replay.Replay` each and kept here, until
    :meth:`flush` moves them into the trace.

    Args:
        image_shape (tuple[int]): Shape of an image as the model got it.

    Attributes:
        static (bool): Whether the plan holds for all calls of the same
            signature. It does not where the shape of a result depends on
            values.
        neurons (list[PlannedNeuron]): In the order in which they fire.
        visits (tuple[str]): Paths of the modules that run, in their order.
    """

    def __init__(self, image_shape: tuple[int, ...] = ()) -> None:
        self.image_shape = image_shape
        self.static = True
        self.neurons: list[PlannedNeuron] = []
        self.visits: tuple[str, ...] = ()
        self._synapses: list[PlannedSynapse] = []
        self._ops: list[PlannedOp] = []  # all, in order
        self._sources: list[tuple] = []
        self._calls = 0
        self._images = 0
        self._statistics = RunStatistics()

    def connect(self, key: tuple, sources: RecordKeys,
                operands: RecordKeys) -> None:
        """Note what an op has read, for :meth:`mmsnn.trace.OpTrace.connect`.

        Args:
            key (tuple): Of its record.
            sources (RecordKeys): What made its input.
            operands (RecordKeys): What made the operand that a product adds
                up.
        """
        self._sources.append((key, sources, operands))

    def add_static(self, key: tuple, new: dict, amounts: dict) -> None:
        """Add an op on real values.

        Args:
            key (tuple): Of its record in the trace.
            new (dict): Fields that describe it there.
            amounts (dict): What each call adds there.
        """
        self._ops.append(PlannedOp(key, new, amounts))

    def add_neuron(self, path: str, key: tuple, new: dict, amounts: dict,
                   substeps: int) -> int:
        """Add a neuron layer that has fired.

        Args:
            path (str): Its path in the model.
            key (tuple): Of its record in the trace.
            new (dict): Fields that describe it there.
            amounts (dict): What each call adds there, bar spikes.
            substeps (int): T x D.

        Returns:
            int: The number of this firing within the call.
        """
        self.add_static(key, new, amounts)
        self.neurons.append(
            PlannedNeuron(self._ops[-1], path,
                          torch.Size(amounts['input_shape']), substeps))
        return len(self.neurons) - 1

    def add_synapse(self, key: tuple, new: dict, amounts: dict, func, args,
                    output: torch.Tensor) -> None:
        """Add a synapse. Of three ways to count it, the fastest is chosen.

        1. Each spike reaches as many outputs: the number of spikes is enough.
        2. Spikes at the border reach fewer outputs: the neuron counts them
           while it fires, by their positions. It can do so for one pattern.
        3. The cost is computed from the spikes, as in the recorded call, as
           soon as all operands have been fired.

        Args:
            key (tuple): Of its record in the trace.
            new (dict): Fields that describe it there.
            amounts (dict): What the recorded call has added there.
            func (OpOverload): The op.
            args (tuple): Its arguments, some of them spikes.
            output (Tensor): Its result.
        """
        spiking = [x for x in args if isinstance(x, SpikeTensor)]
        if any(x.origin is None for x in spiking):
            self.static = False
            return
        fixed = {k: v for k, v in amounts.items()
                 if k not in ('sops', 'in_spikes')}
        last = max((x.origin for x in spiking), key=lambda x: x.neuron)
        source = self.neurons[last.neuron]
        self.add_static(key, new, fixed)
        synapse = PlannedSynapse(self._ops[-1], source)
        self._synapses.append(synapse)
        if len(spiking) == 1 and last.whole:
            reach = fan_out(func, args, output)
            if isinstance(reach, int):
                synapse.fan_out = reach
                return
            if not last.moves and source.can_weigh_by(reach):
                return
        templates = tree_map(_template, tuple(args))
        if func.overloadpacket is not torch.ops.aten.convolution:
            templates = tuple(x.unmerged() if isinstance(x, Origin) else x
                              for x in templates)
            synapse.of_spikes = all(
                isinstance(x, SpikeTensor) for x in args[-2:])
        synapse.call = func, templates, _template(output)
        source.due.append(synapse)
        for x in spiking:
            neuron = self.neurons[x.origin.neuron]
            neuron.last_use = max(neuron.last_use, last.neuron)

    def add_relay(self, key: tuple, new: dict, amounts: dict,
                  inputs: Sequence[SpikeTensor], output: SpikeTensor) -> None:
        """Add gates that hand spikes on. What they fire is computed from the
        spikes that they get, as in the recorded call.

        Args:
            key (tuple): Of their record in the trace.
            new (dict): Fields that describe them there.
            amounts (dict): What the recorded call has added there.
            inputs (Sequence[SpikeTensor]): What they have read.
            output (SpikeTensor): What they have fired.
        """
        if any(x.origin is None for x in (*inputs, output)):
            self.static = False
            return
        fixed = {k: v for k, v in amounts.items()
                 if k not in ('spikes', 'in_spikes')}
        origins = [x.origin for x in (*inputs, output)]
        last = max(origin.neuron for origin in origins)
        self.add_static(key, new, fixed)
        relay = PlannedRelay(self._ops[-1], self.neurons[last],
                             call=tuple(origins))
        self._synapses.append(relay)
        relay.source.due.append(relay)
        for origin in origins:
            neuron = self.neurons[origin.neuron]
            neuron.last_use = max(neuron.last_use, last)

    def add_call(self, images: int, fired: Sequence[tuple[list[int], int]],
                 costs: Iterable[tuple[PlannedSynapse, dict]]) -> None:
        """Keep what was counted in another call.

        Args:
            images (int): Its images.
            fired (Sequence[tuple]): Of each neuron its spikes in each
                sub-step, and the outputs that these reach, where it has
                counted them.
            costs (Iterable[tuple]): Synapses whose cost was computed, each
                with the cost.
        """
        if not images:
            return  # an empty batch has no statistics
        self._calls += 1
        self._images += images
        totals = Counter(self._fixed_amounts)
        for neuron, counts in zip(self.neurons, fired):
            neuron.end_call(*counts, images)
            totals['spikes'] += neuron.fired
        for synapse, cost in costs:
            synapse.cost = cost
        for synapse in self._synapses:
            totals['sops'] += synapse.end_call(images)
        self._statistics.add(totals, images)

    @cached_property
    def _fixed_amounts(self) -> dict[str, int]:
        """What is the same in each call."""
        return total_amounts(
            OpRecord(op.new['module'], op.new['kind'], op.new['op'],
                     **op.amounts) for op in self._ops)

    def flush(self, trace: OpTrace) -> None:
        """Move everything counted into a trace.

        Args:
            trace (OpTrace): The trace.
        """
        if not self._calls:
            return
        trace.images += self._images
        trace.statistics.include(self._statistics)
        trace.image_shapes[self.image_shape] += self._images
        for op in self._ops:
            trace.get(op.key, **op.new).add_call(
                **OpRecord.times(self._calls, op.amounts), **op.take())
        for edges in self._sources:
            trace.connect(*edges)
        self._calls = self._images = 0
        self._statistics = RunStatistics()


def _template(x: Any) -> Any:
    """An argument of an op without its values."""
    if isinstance(x, SpikeTensor):
        return x.origin
    if isinstance(x, torch.Tensor):
        return torch.empty_strided(
            x.shape, x.stride(), dtype=x.dtype, device='meta')
    return x
