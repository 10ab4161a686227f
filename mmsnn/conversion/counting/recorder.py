"""Records every op that a converted model runs."""

from contextlib import contextmanager, nullcontext
from math import ceil
from threading import get_ident

import torch
from torch.utils._pytree import tree_flatten

from mmsnn.conversion.rules.mmcv_ops import mmcv_cost
from mmsnn.conversion.spikes.compositions import composition
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.conversion.spikes.threads import check_thread
from mmsnn.conversion.spikes.writes import written
from mmsnn.conversion.upstream.mmcv_dispatch import MmcvOpMode
from mmsnn.conversion.upstream.nested import tensors
from mmsnn.trace import UNKNOWN, OpTrace

from .firings import Firings
from .module_path import ModulePath
from .plan import CountingPlan
from .real_ops import FACTORIES, UnclassifiedOpError, real_cost
from .relays import in_a_window, relay_amounts, window_geometry
from .spike_memory import SpikeMemory
from .substeps import axis_spikes, substep_amounts
from .synapses import SYNAPSE_OPS, fan_out, synapse_cost
from .tensor_sources import (
    DRAWN,
    EARLIER,
    Read,
    RecordKeys,
    TensorSources,
)
from .value_reads import ReadValues
from .weight_pieces import WeightPieces


class OpRecorder(MmcvOpMode):
    """Writes each op into an op trace and a plan, while it is entered.

    Args:
        path (ModulePath): Knows which module is running.
        trace (OpTrace): Gets the records of one call.
        plan (CountingPlan): Gets the ops of that call.
        repeats (int): In how many time steps the same images are shown.
        sources (TensorSources): Knows what made each tensor.
        substeps (bool): Whether to count each sub-step of the first image,
            too, which is costly.
        earlier (str): Which values earlier calls have read that the model may
            have kept. Defaults to none.

    Attributes:
        reads (ReadValues): Which values this call has read.
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __init__(self, path: ModulePath, trace: OpTrace, plan: CountingPlan,
                 repeats: int, sources: TensorSources, substeps: bool,
                 earlier: str = '') -> None:
        super().__init__()
        self.sources = sources
        self.substeps = substeps
        self.repeats = repeats
        self.path = path
        self.trace = trace
        self.plan = plan
        self.weights = WeightPieces(path.model)
        self.firings = Firings(trace.images)
        self.time_axis = None  # a TimeAxis, where neurons have T > 1
        self.placement = None  # a PlacementWatch, in the first call
        self.memory = SpikeMemory(sources)
        self._paused = False
        self.reads = ReadValues(sources, path, earlier)
        self._thread = get_ident()
        # Of products of spikes: the largest integer that each can reach.
        self._products: dict[tuple, int] = {}

    @contextmanager
    def paused(self):
        """Context in which ops are not recorded, such as those of a neuron
        itself."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def reading(self, name: str, values):
        """Context in which a method gives values to Python, see
        :meth:`.value_reads.ReadValues.reading`.

        Args:
            name (str): Name of the method.
            values (Tensor): Whose values it reads.

        Returns:
            ContextManager: To be entered while the method runs.
        """
        if self._paused:
            return nullcontext()
        return self.reads.reading(name, values)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        packet = func.overloadpacket
        sources = () if packet.__name__ in FACTORIES else (
            self.sources.of(args, kwargs))
        sources = self.reads.have_a_say(func, args, kwargs, sources)
        if torch.Tag.nondeterministic_seeded in func.tags:
            sources = (*sources, DRAWN)
        args, kwargs = self.memory.read(func, args, kwargs)
        compose = composition(SpikeTensor, func, args, kwargs)
        if compose is not None:
            with self:  # the ops that it consists of are recorded
                return compose(*args, **kwargs)
        weight = None
        if packet in SYNAPSE_OPS:
            weight = self._weight(packet, args)
        try:
            out = func(*args, **kwargs)
            if packet in SYNAPSE_OPS:
                cost = synapse_cost(func, args, out, weight)
            else:
                cost = real_cost(func, args, kwargs, out)
        except (TypeError, UnclassifiedOpError) as error:
            raise UnclassifiedOpError(f'{self.path.name}: {error}') from error
        if self.reads.note_op(func, args, kwargs):
            self.plan.static = False
        self.memory.note(func, args, kwargs, out)
        if self.placement is not None:
            with self.paused():
                self.placement.ran(func, args, kwargs, out, cost)
        if cost is None:
            self._made(func, args, kwargs, out, sources)
            if not (func.is_view or self.sources.depend_on_input(sources)):
                self.weights.copied(out, packet.__name__, (args, kwargs))
            return out
        cost.update(
            input_shape=_shape(_main_input(packet, args, kwargs)),
            output_shape=_shape(out))
        fired = next((x for x in tensors(out)
                      if isinstance(x, SpikeTensor)), None)
        if fired is not None:
            key = self._add_relay(func, args, kwargs, fired, cost, sources)
            self._made(func, args, kwargs, out, (key, ))
            return out
        if packet in SYNAPSE_OPS:
            self._add_weights(cost, args, weight)
        if not cost.get('spiking'):
            if packet in SYNAPSE_OPS:
                cost['note'] = cost.get('note') or (
                    'its input is real values, not spikes')
            key = self._add_real(packet.__name__, cost, sources)
            self._made(func, args, kwargs, out, (key, ))
            if not self.sources.depend_on_input(sources):
                self.weights.computed(out, packet.__name__, (args, kwargs))
            return out
        if self.repeats > 1:  # spikes know their T
            cost['repeats'] = cost['timesteps']
        train = next(x for x in args if isinstance(x, SpikeTensor))
        operands = ()
        if not cost.get('static', True):
            pair = args[:2] if cost['kind'] == 'conv' else args[-2:]
            other = pair[1] if pair[0] is train else pair[0]
            operands = self.sources.of(other)
            sources = self.sources.of(train, *(
                x for x in args if x is not other and x is not train))
        key, new = self._describe(packet.__name__, cost)
        if 'accumulator_max' in cost:
            self._products[key] = cost['accumulator_max']
        self.plan.add_synapse(key, new, cost, func, args, out)
        reads = {}
        if self.substeps:
            with self.paused():
                cost.update(
                    substep_amounts(func, args, out, self.trace.images))
                reads = self.firings.reads(train, _reached(func, args, out))
        self.trace.get(key, **new).add_call(**cost)
        self._connect(key, sources, operands, reads)
        self._made(func, args, kwargs, out, (key, ))
        return out

    def _add_relay(self, func, args, kwargs, fired: SpikeTensor, cost: dict,
                   sources: RecordKeys) -> tuple:
        """Add an op that gives extremes of spikes; returns the key of its
        record."""
        inputs = [x for x in tensors((args, kwargs))
                  if isinstance(x, SpikeTensor)]
        with self.paused():
            cost.update(relay_amounts(inputs, fired))
            geometry = window_geometry(func, args, kwargs)
        if self.repeats > 1:
            cost['repeats'] = cost['timesteps']
        key, new = self._describe(func.overloadpacket.__name__,
                                  dict(cost, geometry=geometry))
        amounts = {k: v for k, v in cost.items() if k not in new}
        self.plan.add_relay(key, new, amounts, inputs, fired)
        reads = {}
        if self.substeps:
            with self.paused():
                amounts['axis_spikes'] = axis_spikes(fired, self.trace.images)
                if len(inputs) == 1:
                    reads = self.firings.reads(
                        inputs[0], in_a_window(geometry, inputs[0], fired))
                elif len({x.shape for x in inputs}) == 1:
                    both = torch.stack(inputs, 1)
                    both.sources = self.sources.of(inputs)
                    reads = self.firings.reads(both)
                self.firings.number(key, fired, cost['spikes'])
        self.trace.get(key, **new).add_call(**amounts)
        self._connect(key, sources, (), reads)
        return key

    def _weight(self, packet, args) -> int | None:
        """Which argument of a synapse holds weights that are known before
        the run: that of a convolution, else the last operand of a product, or
        the first."""
        last = len(args) - 1
        found = (1, ) if packet is torch.ops.aten.convolution else (
            last, last - 1)
        for i in found:
            if not isinstance(args[i], SpikeTensor) and (
                    not self.sources.depend_on_input(
                        self.sources.of(args[i]))):
                return i
        return None

    def _add_weights(self, cost: dict, args, weight: int | None) -> None:
        """Complete the cost of a synapse: where its weights lie, or what a
        product of two activations must hold."""
        if weight is None:
            operands = args[:2] if cost['kind'] == 'conv' else args[-2:]
            cost['note'] = self.reads.why_not_static(operands)
            if cost.get('spiking'):
                self._bound_accumulator(cost, operands)
            return
        pieces = self.weights.of(args[weight])
        number = sum(p[-1] for p in pieces)
        if number < cost['weights'] and pieces:  # copies of fewer weights
            cost['weight_bytes'] -= args[weight].element_size() * (
                cost['weights'] - number)
            cost['weights'] = number
        if pieces:
            cost['weight_pieces'] = [list(p) for p in pieces]
        if cost['kind'] == 'linear' and 'geometry' in cost:
            # Weights in front of the input: channels are its first axis.
            shapes = cost['input_shape'], cost['output_shape']
            cost['input_shape'], cost['output_shape'] = (
                (1, *s) if len(s) == 2 else s for s in shapes)

    def run_mmcv_op(self, name, call, args, kwargs):
        """See :meth:`.MmcvOpMode.run_mmcv_op`."""
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
            self.reads.note(name, (args, kwargs))
        if self.placement is not None:
            with self.paused():
                self.placement.ran_compiled(name, (args, kwargs))
        sources = self.sources.of(args, kwargs)
        key = self._add_real(name, cost, sources)
        self.sources.made(out, (key, ))
        self.sources.written((args, kwargs), (key, ))
        self.memory.forget((args, kwargs))
        return out

    def _made(self, func, args, kwargs, out, sources: RecordKeys) -> None:
        """Note what the results of an op come from, and what it wrote."""
        self.sources.made(out, sources)
        if func._schema.is_mutable:
            self.sources.made(list(written(func, args, kwargs)), sources)

    def _connect(self, key: tuple, sources: RecordKeys,
                 operands: RecordKeys = (), reads: dict | None = None) -> None:
        self.sources.connect(key, (*sources, *operands))
        # Noise is no edge, nor is what an earlier call has left; as weights,
        # they are none that is known.
        sources, operands = (
            dict.fromkeys(other if s in (DRAWN, EARLIER) else s for s in (
                s.key if isinstance(s, Read) else s for s in found))
            for found, other in ((sources, None), (operands, UNKNOWN)))
        sources.pop(None, None)
        self.trace.connect(key, sources, operands, reads)
        self.plan.connect(key, sources, operands)

    def _add_real(self, op: str, cost: dict, sources: RecordKeys) -> tuple:
        """Add an op on real values; returns the key of its record.

        It runs in each time step if its result has a row for each.
        """
        if self.repeats > 1:
            images, shape = self.trace.images, cost['output_shape']
            every = shape[:1] == (images * self.repeats, ) or (
                self.time_axis.follows and shape[:2] == (images, self.repeats))
            cost['repeats'] = self.repeats if every else 1
        key, new = self._describe(op, cost)
        self.plan.add_static(key, new, cost)
        self.trace.get(key, **new).add_call(**cost)
        self._connect(key, sources)
        return key

    def _bound_accumulator(self, cost, operands) -> None:
        """Find the largest integer that a product of spikes can reach.

        A product on one operand of spikes is ``Q (K^T V)``: its other operand
        reaches what ``K^T V`` can reach. Where an op lies in between, such as
        a factor, it reaches what it reached, or what products of the same
        module can reach if that is more.
        """
        real = [x for x in operands if not isinstance(x, SpikeTensor)]
        if not real:
            return
        made_by = self.sources.of(real[0])
        if len(made_by) == 1 and made_by[0] in self._products:
            cost['accumulator_max'] *= self._products[made_by[0]]
        elif real[0].numel():
            cost['accumulator_max'] *= max(
                ceil(real[0].abs().max().item()),
                *(most for (module, *_), most in self._products.items()
                  if module == self.path.name), 0)

    def add_neuron(self, path: str, membrane: torch.Tensor,
                   spikes: SpikeTensor, levels: list[int],
                   state_bytes: int, own: str = '') -> int:
        """Add one firing of a neuron.

        Args:
            path (str): Path of the neuron in the model.
            membrane (Tensor): Its membrane potentials, (N * T, ...).
            spikes (SpikeTensor): What it fired, same shape.
            levels (list[int]): Spikes in each of T x D sub-steps.
            state_bytes (int): Bytes of the membranes of one image.
            own (str): Methods by which its class has equations of its own.
                Defaults to none.

        Returns:
            int: Its number within the call.

        Raises:
            RuntimeError: If it fires in another thread than the call.
        """
        check_thread(f'{path}: it fires', self._thread)
        if self.time_axis is not None:
            self.time_axis.reached(path, membrane, spikes)
        amounts = dict(
            kind='neuron',
            spiking=True,
            input_shape=_shape(spikes),
            output_shape=_shape(spikes),
            neurons=spikes.numel(),
            max_spikes=spikes.max_spikes,
            timesteps=spikes.timesteps,
            state_bytes=state_bytes)
        if own:
            amounts['note'] = f'its class has its own {own}'
        if self.repeats > 1:
            amounts['repeats'] = spikes.timesteps
        key, new = self._describe('neuron', amounts)
        self.trace.get(key, **new).add_call(spikes=levels, **amounts)
        if self.substeps:
            with self.paused():
                found = axis_spikes(spikes, self.trace.images)
                self.firings.number(key, spikes, levels)
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
        return (module, call, number, op, new['spiking'], new['static']), new


def _reached(func, args, out) -> torch.Tensor | None:
    """Which elements of a convolution's input reach an output, by position;
    None where all do."""
    if func.overloadpacket is not torch.ops.aten.convolution:
        return None
    reach = torch.as_tensor(fan_out(func, args, out)) > 0
    return None if bool(reach.all()) else reach


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
