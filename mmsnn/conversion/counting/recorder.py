"""Records every op that a converted model runs."""

from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from functools import wraps
from inspect import ismethod
from math import ceil

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.trace import OpTrace

from .mmcv_ops import extension_cost
from .plan import CountingPlan
from .real_ops import FACTORIES, UnclassifiedOpError, real_cost
from .substeps import axis_sample, substep_sample
from .synapses import SYNAPSE_KINDS, batched_linear_cost, synapse_cost
from .tensor_sources import Provenance, Sources

#: Methods by which detectors and segmentors use their heads, beside
#: ``forward``: what is done with a head's results happens in there.
METHODS = ('predict', 'predict_by_feat')


class ModulePath:
    """Which module of a model is running, while it is watched.

    Every module's ``forward`` is wrapped, to keep a stack of names: heads
    are often run by a method of their own that calls ``forward``, so that
    hooks would not see them. So are the :data:`METHODS`. It belongs to one
    converted model: there is no global state.
    """

    def __init__(self, model: nn.Module) -> None:
        self._stack: list[list] = []
        self._calls: Counter = Counter()
        self._watching = False
        for name, module in model.named_modules():
            module.forward = self._watched(name, module.forward, 0)
            for method in METHODS:
                if ismethod(getattr(module, method, None)):
                    # What is done there depends on images: not numbered.
                    setattr(
                        module, method,
                        self._watched(name, getattr(module, method), None))

    def _watched(self, name: str, function: Callable,
                 number: int | None) -> Callable:

        @wraps(function)
        def run(*args, **kwargs):
            if not self._watching:
                return function(*args, **kwargs)
            if number is not None:
                self._calls[name] += 1
            self._stack.append([name, number, self._calls[name]])
            try:
                return function(*args, **kwargs)
            finally:
                self._stack.pop()

        return run

    @contextmanager
    def watched(self):
        """Context in which :attr:`name` and :meth:`count` are kept."""
        self._watching = True
        self._calls.clear()
        try:
            yield
        finally:
            self._watching = False

    @property
    def name(self) -> str:
        """Path of the innermost running module."""
        return (self._stack[-1][0] if self._stack else '') or '(model)'

    @property
    def postprocess(self) -> bool:
        """Whether one of :data:`METHODS` is running."""
        return bool(self._stack) and self._stack[-1][1] is None

    def count(self) -> tuple[int, int]:
        """Number of the module's call, and of this op within it: 1 and 0
        where the same ops of all calls make one record."""
        if not self._stack or self.postprocess:
            return 1, 0
        self._stack[-1][1] += 1
        return self._stack[-1][2], self._stack[-1][1]


class OpRecorder(TorchDispatchMode):
    """Writes an op trace while it is entered.

    Args:
        path (ModulePath): Knows which module is running.
        trace (OpTrace): Where the records go.
        plan (CountingPlan): Takes notes of the call.
        repeats (int): In how many time steps the same images are shown.
        provenance (Provenance): Knows what made each tensor.
        sample (bool): Whether to count what is costly, of one image.
    """

    def __init__(self, path: ModulePath, trace: OpTrace, plan: CountingPlan,
                 repeats: int, provenance: Provenance, sample: bool) -> None:
        super().__init__()
        self.provenance = provenance
        self.sample = sample
        self.repeats = repeats
        self.path = path
        self.trace = trace
        self.plan = plan
        self._paused = False
        self._products: dict[str, int] = {}

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
        packet = func.overloadpacket
        sources = () if packet.__name__ in FACTORIES else (
            self.provenance.of(args, kwargs))
        try:
            out = func(*args, **kwargs)
            if packet in SYNAPSE_KINDS:
                cost = synapse_cost(func, args, out)
            else:
                cost = real_cost(func, args, kwargs, out)
        except (TypeError, UnclassifiedOpError) as error:
            raise UnclassifiedOpError(f'{self.path.name}: {error}') from error
        self.plan.watch(func)
        if cost is None:
            self._made(func, args, out, sources)
            return out
        if packet is torch.ops.aten.bmm and cost.get('spiking'):
            if self._has_weights(*args):
                cost.update(batched_linear_cost(*args))
            else:
                self._bound_accumulator(cost, args)
        cost.update(
            input_shape=_shape(_main_input(packet, args, kwargs)),
            output_shape=_shape(out))
        if not cost.get('spiking'):
            if packet in SYNAPSE_KINDS:
                cost['note'] = 'its input is real values, not spikes'
            key = self._add_real(packet.__name__, cost, sources)
            self._made(func, args, out, (key, ))
            return out
        if self.repeats > 1:  # spikes know their T
            cost['repeats'] = cost['timesteps']
        operands = ()
        if not cost.get('static', True):
            train = next(x for x in args if isinstance(x, SpikeTensor))
            operands = self.provenance.of([x for x in args if x is not train])
            sources = train.sources
        key, new = self._describe(packet.__name__, cost)
        self.plan.add_synapse(key, new, dict(cost), func, args, out)
        if self.sample:
            cost.update(substep_sample(func, args, out, self.trace.images))
        self.trace.get(key, **new).add_call(**cost)
        self._connect(key, sources, operands)
        self._made(func, args, out, (key, ))
        return out

    def run_extension(self, name, call, args, kwargs):
        """A compiled op; called by :class:`ExtensionOp`."""
        if self._paused:
            return call(*args, **kwargs)
        with self.paused():
            out = call(*args, **kwargs)
            try:
                cost, on_values = extension_cost(name, args, kwargs, out)
            except UnclassifiedOpError as error:
                raise UnclassifiedOpError(
                    f'{self.path.name}: {error}') from error
        if on_values:
            self.plan.static = False
        sources = self.provenance.of(args, kwargs)
        key = self._add_real(name, cost, sources)
        self.provenance.made(out, (key, ))
        self.provenance.written((args, kwargs), (key, ))
        return out

    def _made(self, func, args, out, sources: Sources) -> None:
        """Note what an op has made, also in its arguments."""
        self.provenance.made(out, sources)
        if func._schema.is_mutable:
            for x, argument in zip(args, func._schema.arguments):
                if argument.alias_info and argument.alias_info.is_write:
                    self.provenance.made(x, sources)

    def _connect(self, key: tuple, sources: Sources,
                 operands: Sources = ()) -> None:
        self.trace.connect(key, sources, operands)
        self.plan.connect(key, sources, operands)

    def _add_real(self, op: str, cost: dict, sources: Sources) -> tuple:
        """Add an op on real values. It is run for each time step where its
        result has a row for each. Returns the key of its record."""
        if self.repeats > 1:
            rows = self.trace.images * self.repeats
            every = cost['output_shape'][:1] == (rows, )
            cost['repeats'] = self.repeats if every else 1
        key, new = self._describe(op, cost)
        self.plan.add_static(key, new, cost)
        self.trace.get(key, **new).add_call(**cost)
        self._connect(key, sources)
        return key

    def _has_weights(self, left, right) -> bool:
        """Whether the right operand of a product is held by the model: a
        linear layer on tokens that are not in one piece of memory."""
        return not isinstance(right, SpikeTensor) and not (
            self.provenance.of(right))

    def _bound_accumulator(self, cost, operands) -> None:
        """Largest integer that a product of spikes can reach: that of
        ``K^T V`` holds for the operand of the ``Q (K^T V)`` behind it."""
        module = self.path.name
        real = [x for x in operands if not isinstance(x, SpikeTensor)]
        if not real:
            self._products[module] = cost['accumulator_max']
        elif module in self._products:
            cost['accumulator_max'] *= self._products[module]
        elif real[0].numel():
            cost['accumulator_max'] *= ceil(real[0].abs().max().item())

    def add_neuron(self, path: str, membrane: torch.Tensor,
                   spikes: SpikeTensor, levels: list[int],
                   state_bytes: int) -> int:
        """Add one firing of a neuron.

        Args:
            path (str): The neuron's.
            membrane (Tensor): What it integrated.
            spikes (SpikeTensor): What it fired.
            levels (list[int]): Spikes in each sub-step.
            state_bytes (int): Bytes of the membranes of one image.

        Returns:
            int: Its number within the call.
        """
        amounts = dict(
            kind='neuron',
            spiking=True,
            input_shape=_shape(spikes),
            output_shape=_shape(spikes),
            neurons=spikes.numel(),
            max_spikes=spikes.max_spikes,
            timesteps=spikes.timesteps,
            state_bytes=state_bytes)
        if self.repeats > 1:
            amounts['repeats'] = spikes.timesteps
        key, new = self._describe('neuron', amounts)
        self.trace.get(key, **new).add_call(spikes=levels, **amounts)
        if self.sample:
            with self.paused():
                sample = axis_sample(spikes, self.trace.images)
            self.trace.get(key).add_call(0, axis_spikes=sample)
        self._connect(key, self.provenance.of(membrane))
        self.provenance.made(spikes, (key, ))
        return self.plan.add_neuron(path, key, new, amounts, len(levels))

    def _describe(self, op: str, cost: dict):
        """Key and first fields of a record. Takes out of ``cost`` what is no
        amount."""
        module = self.path.name
        call, number = self.path.count()
        new = dict(
            module=module,
            op=op,
            call=call,
            kind=cost.pop('kind'),
            spiking=cost.pop('spiking', False),
            note=cost.pop('note', ''),
            postprocess=self.path.postprocess,
            geometry=cost.pop('geometry', {}),
            static=cost.pop('static', True))
        return (module, call, number, op, new['spiking']), new


def _main_input(packet, args, kwargs):
    tensors = [
        x for x in tree_flatten((args, kwargs))[0]
        if isinstance(x, torch.Tensor)
    ]
    if packet is torch.ops.aten.addmm:
        return tensors[1]
    spiking = [x for x in tensors if isinstance(x, SpikeTensor)]
    return (spiking or tensors or [None])[0]


def _shape(x) -> tuple:
    while isinstance(x, (list, tuple)) and x:
        x = x[0]
    return tuple(x.shape) if isinstance(x, torch.Tensor) else ()
