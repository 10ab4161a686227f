"""Records every op that a converted model runs."""

from contextlib import contextmanager
from typing import List, Optional

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from .costs import UnclassifiedOpError, real_cost
from .spike_tensor import SpikeTensor
from .synapses import SYNAPSE_KINDS, synapse_cost
from .trace import OpTrace

#: Fields that describe an op once; all others add up over calls.
_ONCE = ('weight_bytes', 'state_bytes', 'accumulator_max', 'max_spikes')


class ModulePath:
    """Which module of a model is running.

    Hooks on every module keep a stack of names. It belongs to one converted
    model: there is no global state.
    """

    def __init__(self, model: nn.Module) -> None:
        self._stack: List[list] = []
        self._handles = []
        for name, module in model.named_modules():
            self._handles.append(
                module.register_forward_pre_hook(
                    lambda *_, name=name: self._stack.append([name, 0])))
            self._handles.append(
                module.register_forward_hook(lambda *_: self._leave()))

    def _leave(self) -> None:
        self._stack.pop()

    def reset(self) -> None:
        """Forget modules that an exception left half-way."""
        self._stack.clear()

    @property
    def name(self) -> str:
        """Path of the innermost running module."""
        return (self._stack[-1][0] if self._stack else '') or '(model)'

    def count(self) -> int:
        """Number of this op within the module's present call."""
        if not self._stack:
            return 0
        self._stack[-1][1] += 1
        return self._stack[-1][1]


class OpRecorder(TorchDispatchMode):
    """Writes an op trace while it is entered.

    Args:
        path (ModulePath): Knows which module is running.
        trace (OpTrace): Where the records go.
    """

    def __init__(self, path: ModulePath, trace: OpTrace) -> None:
        super().__init__()
        self.path = path
        self.trace = trace
        self._paused = False

    @contextmanager
    def paused(self):
        """Ops in here are not recorded (a neuron's own arithmetic)."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        try:
            out = func(*args, **kwargs)
            packet = func.overloadpacket
            if packet in SYNAPSE_KINDS:
                cost = synapse_cost(func, args, out)
                if not cost.get('spiking'):
                    cost['note'] = 'its input is real values, not spikes'
            else:
                cost = real_cost(func, args, kwargs, out)
        except TypeError as error:
            raise UnclassifiedOpError(f'{self.path.name}: {error}') from error
        if cost is not None:
            tensors = [
                x for x in tree_flatten((args, kwargs))[0]
                if isinstance(x, torch.Tensor)
            ]
            self.add(
                op=packet.__name__,
                inputs=_main_input(packet, tensors),
                output=out,
                **cost)
        return out

    def add(self, kind: str, op: str, inputs, output, note: str = '',
            spikes=(), spiking: bool = False, **amounts) -> None:
        """Add one call of an op to its record."""
        module, number = self.path.name, self.path.count()
        record = self.trace.get((module, number, op),
                                module=module, kind=kind, op=op,
                                spiking=spiking, note=note)
        record.calls += 1
        record.input_shape = _shape(inputs)
        record.output_shape = _shape(output)
        for name, value in amounts.items():
            before = getattr(record, name)
            setattr(record, name,
                    max(before, value) if name in _ONCE else before + value)
        if spikes:
            before = record.spikes or [0] * len(spikes)
            record.spikes = [a + b for a, b in zip(before, spikes)]


def _main_input(packet, tensors) -> Optional[torch.Tensor]:
    if packet is torch.ops.aten.addmm:
        return tensors[1]
    spiking = [x for x in tensors if isinstance(x, SpikeTensor)]
    return (spiking or tensors or [None])[0]


def _shape(x) -> tuple:
    while isinstance(x, (list, tuple)) and x:
        x = x[0]
    return tuple(x.shape) if isinstance(x, torch.Tensor) else ()
