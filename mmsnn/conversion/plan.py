"""Counting without watching every op.

Recording a call op by op costs some microseconds per op. Where a model does
the same on every batch, one recorded call is enough: what real-valued ops
cost follows from shapes, and what spikes cost follows from what the neurons
fire. A plan keeps the former and recomputes the latter, exactly.
"""

from typing import Any, Dict, List, Optional

import torch
from mmengine.structures import BaseDataElement
from torch.utils._pytree import tree_flatten, tree_map

from .spike_tensor import Origin, SpikeTensor
from .synapses import synapse_cost
from .trace import OpTrace

#: Metainfo that differs between images but not between what is computed.
_NAMES = ('img_path', 'seg_map_path', 'img_id', 'sample_idx', 'ori_filename')


class PlanMismatch(Exception):
    """A call did not do what the plan says."""


def signature(arguments) -> Optional[tuple]:
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
    """What one recorded call did; filled by the recorder.

    Attributes:
        static (bool): Whether another call of the same signature does the
            same ops: no op's result shape depended on values.
    """

    def __init__(self) -> None:
        self.static = True
        self._neurons: List[tuple] = []  # (path, shape, key, new, amounts)
        self._static_ops: List[tuple] = []  # (key, new, amounts)
        self._synapses: List[tuple] = []  # (key, new, func, args, output)

    def watch(self, func) -> None:
        """Look whether an op makes the plan useless."""
        if (torch.Tag.data_dependent_output in func.tags
                or torch.Tag.dynamic_output_shape in func.tags):
            self.static = False

    def add_neuron(self, path: str, key, new: Dict, amounts: Dict) -> int:
        """Note that a neuron fired; returns its number."""
        amounts = {k: v for k, v in amounts.items() if k != 'spikes'}
        self._neurons.append((path, amounts['input_shape'], key, new, amounts))
        return len(self._neurons) - 1

    def add_static(self, key, new: Dict, amounts: Dict) -> None:
        """Note an op whose cost does not depend on spikes."""
        self._static_ops.append((key, new, amounts))

    def add_synapse(self, key, new: Dict, shapes: Dict, func, args,
                    output) -> None:
        """Note a synapse; its operands remember which neuron fired them."""
        for x in args:
            if isinstance(x, SpikeTensor) and x.origin is None:
                self.static = False
        args = tree_map(_template, tuple(args))
        self._synapses.append(
            (key, new, shapes, func, args, _template(output)))

    def replay(self, trace: OpTrace) -> 'Replay':
        """Count one more call into ``trace``."""
        return Replay(self, trace)


def _template(x: Any) -> Any:
    """An argument of an op without its values."""
    if isinstance(x, SpikeTensor):
        return x.origin
    if isinstance(x, torch.Tensor):
        return torch.empty_strided(
            x.shape, x.stride(), dtype=x.dtype, device='meta')
    return x


class Replay:
    """Counts one call by a plan. Nothing reaches the trace before
    :meth:`finish`."""

    def __init__(self, plan: CountingPlan, trace: OpTrace) -> None:
        self.plan = plan
        self.trace = trace
        self._next = 0
        self._fired: Dict[int, SpikeTensor] = {}
        self._found: List[tuple] = []
        self._due: Dict[int, List[tuple]] = {}
        self._last_use: Dict[int, int] = {}
        for synapse in plan._synapses:
            numbers = [
                x.neuron for x in synapse[4] if isinstance(x, Origin)
            ]
            self._due.setdefault(max(numbers), []).append(synapse)
            for n in numbers:
                self._last_use[n] = max(max(numbers), self._last_use.get(n, 0))

    def fire(self, path: str, spikes: SpikeTensor, levels: List[int]) -> None:
        """Count what a neuron fired.

        Raises:
            PlanMismatch: If this neuron was not to fire now, or not on this
                shape.
        """
        number = self._next
        if number >= len(self.plan._neurons):
            raise PlanMismatch
        expected, shape, key, new, amounts = self.plan._neurons[number]
        if path != expected or tuple(spikes.shape) != shape:
            raise PlanMismatch
        self._next += 1
        self._found.append((key, new, dict(amounts, spikes=levels)))
        if number in self._last_use:
            self._fired[number] = spikes
        for key, new, shapes, func, args, output in self._due.get(number, ()):
            cost = synapse_cost(func, [self._operand(x) for x in args], output)
            del cost['kind'], cost['spiking']
            self._found.append((key, new, dict(cost, **shapes)))
        for done in [n for n in self._fired if self._last_use[n] <= number]:
            del self._fired[done]

    def _operand(self, x: Any) -> Any:
        return x.replay(self._fired[x.neuron]) if isinstance(x, Origin) else x

    def finish(self) -> None:
        """Add the call to the trace.

        Raises:
            PlanMismatch: If neurons are left that have not fired.
        """
        if self._next != len(self.plan._neurons):
            raise PlanMismatch
        for key, new, amounts in self.plan._static_ops + self._found:
            self.trace.get(key, **new).add_call(**amounts)
