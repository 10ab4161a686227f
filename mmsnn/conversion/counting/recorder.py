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

from mmsnn.conversion.rules.mmcv_ops import mmcv_cost
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.trace import OpTrace

from .plan import CountingPlan
from .real_ops import FACTORIES, UnclassifiedOpError, real_cost
from .substeps import axis_spikes, substep_amounts
from .synapses import SYNAPSE_KINDS, batched_linear_cost, synapse_cost
from .tensor_sources import RecordKeys, TensorSources

#: Methods by which detectors and segmentors use their heads, beside
#: ``forward``: what is done with a head's results happens in there.
METHODS = ('predict', 'predict_by_feat')


class ModulePath:
    """Knows which module of a model is running, while it is watched.

    The ``forward`` of each module is wrapped, to keep a stack of the modules
    that are running: many heads are run by a method of their own that calls
    ``forward``, so that hooks would not see them. The :data:`METHODS` are
    wrapped, too. All state is kept here, for one converted model.

    Args:
        model (nn.Module): The model. Its modules are changed for good, and
            run as before.
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
        """Path of the innermost module that is running."""
        return (self._stack[-1][0] if self._stack else '') or '(model)'

    @property
    def postprocess(self) -> bool:
        """Whether one of :data:`METHODS` is running."""
        return bool(self._stack) and self._stack[-1][1] is None

    def count(self) -> tuple[int, int]:
        """Count an op of the innermost module.

        Returns:
            tuple[int, int]: Number of the module's call, and of this op
            within it. 1 and 0 in :data:`METHODS`, where the same ops of all
            calls make one record.
        """
        if not self._stack or self.postprocess:
            return 1, 0
        self._stack[-1][1] += 1
        return self._stack[-1][2], self._stack[-1][1]


class OpRecorder(TorchDispatchMode):
    """Writes each op into an op trace and a plan, while it is entered.

    Args:
        path (ModulePath): Knows which module is running.
        trace (OpTrace): Gets the records of one call.
        plan (CountingPlan): Gets the ops of that call.
        repeats (int): In how many time steps the same images are shown.
        sources (TensorSources): Knows what made each tensor.
        substeps (bool): Whether to count each sub-step of the first image,
            too, which is costly.
    """

    def __init__(self, path: ModulePath, trace: OpTrace, plan: CountingPlan,
                 repeats: int, sources: TensorSources, substeps: bool) -> None:
        super().__init__()
        self.sources = sources
        self.substeps = substeps
        self.repeats = repeats
        self.path = path
        self.trace = trace
        self.plan = plan
        self._paused = False
        self._products: dict[str, int] = {}

    @contextmanager
    def paused(self):
        """Context in which ops are not recorded, such as those of a neuron
        itself."""
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
            self.sources.of(args, kwargs))
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
            operands = self.sources.of([x for x in args if x is not train])
            sources = train.sources
        key, new = self._describe(packet.__name__, cost)
        self.plan.add_synapse(key, new, cost, func, args, out)
        if self.substeps:
            cost.update(substep_amounts(func, args, out, self.trace.images))
        self.trace.get(key, **new).add_call(**cost)
        self._connect(key, sources, operands)
        self._made(func, args, out, (key, ))
        return out

    def run_mmcv_op(self, name, call, args, kwargs):
        """Run and record a compiled op of mmcv; called by :class:`MmcvOp`.

        Args:
            name (str): Its name in ``mmcv._ext``.
            call (Callable): Runs it.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.

        Returns:
            What it returns.

        Raises:
            UnclassifiedOpError: If no rule says what it costs.
        """
        if self._paused:
            return call(*args, **kwargs)
        with self.paused():
            out = call(*args, **kwargs)
            try:
                cost, on_values = mmcv_cost(name, args, kwargs, out)
            except UnclassifiedOpError as error:
                raise UnclassifiedOpError(
                    f'{self.path.name}: {error}') from error
        if on_values:
            self.plan.static = False
        sources = self.sources.of(args, kwargs)
        key = self._add_real(name, cost, sources)
        self.sources.made(out, (key, ))
        self.sources.written((args, kwargs), (key, ))
        return out

    def _made(self, func, args, out, sources: RecordKeys) -> None:
        """Note what the results of an op come from, and what it wrote."""
        self.sources.made(out, sources)
        if func._schema.is_mutable:
            for x, argument in zip(args, func._schema.arguments):
                if argument.alias_info and argument.alias_info.is_write:
                    self.sources.made(x, sources)

    def _connect(self, key: tuple, sources: RecordKeys,
                 operands: RecordKeys = ()) -> None:
        self.trace.connect(key, sources, operands)
        self.plan.connect(key, sources, operands)

    def _add_real(self, op: str, cost: dict, sources: RecordKeys) -> tuple:
        """Add an op on real values; returns the key of its record.

        It runs in each time step if its result has a row for each.
        """
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
        """Whether the model holds the right operand of a product, which then
        is a linear layer, on tokens that are not in one piece of memory."""
        return not isinstance(right, SpikeTensor) and not (
            self.sources.of(right))

    def _bound_accumulator(self, cost, operands) -> None:
        """Find the largest integer that a product of spikes can reach.

        A product on one operand of spikes is ``Q (K^T V)``: its other
        operand reaches what the ``K^T V`` of the same module can reach.
        """
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
            path (str): Path of the neuron in the model.
            membrane (Tensor): Its membrane potentials, (N * T, ...).
            spikes (SpikeTensor): What it fired, same shape.
            levels (list[int]): Spikes in each of T x D sub-steps.
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
        if self.substeps:
            with self.paused():
                found = axis_spikes(spikes, self.trace.images)
            self.trace.get(key).add_call(0, axis_spikes=found)
        self._connect(key, self.sources.of(membrane))
        self.sources.made(spikes, (key, ))
        return self.plan.add_neuron(path, key, new, amounts, len(levels))

    def _describe(self, op: str, cost: dict):
        """Key and descriptive fields of a record; these are taken out of
        ``cost``, where amounts stay."""
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
