"""Make the network of populations and projections of an op trace."""

import math
from dataclasses import replace
from fractions import Fraction

from mmsnn.trace import OpRecord, OpTrace, Reads, Source, own_neurons

from .populations import FIRING_KINDS, Network, Population
from .profiles import sampled_profile
from .projections import Projection
from .remainder import remainder_notes, remainder_of
from .shapes import Shapes, reads_features
from .synapse_parts import divided, neurons_read
from .trace_graph import JOINS, TraceGraph, role, run_notes
from .wiring import Wiring, wire

#: Names of the populations that stand for tensors which no op has made.
INPUT, UNKNOWN = 'input', 'unknown'

NOT_STATIC = ('it multiplies two activations: what a spike selects is only '
              'known while the network runs')


def network_from_trace(trace: OpTrace) -> Network:
    """Make the network of a traced model, with mean counts per run.

    - A synapse ends in the population that holds its result. These are the
      first neurons that fire from it, also behind residual sums. Where
      something else reads the result, and at the model's outputs, it is held
      by accumulators of its own (``real``).
    - What is done with the outputs (boxes, scores) is left out, and what is
      computed from weights alone: the ``remainder`` names it.
    - A tensor that no op of the trace has made becomes a population
      ``unknown (MODULE)``, named after the module that reads it.
    - A model that calls one network on several parts of an image gives this
      network once, with ``runs``; see :func:`.repeated_runs.find_runs`. If a
      module is called several times otherwise, each call gives a population.

    Args:
        trace (OpTrace): The trace of a converted model, of images of one size.

    Returns:
        Network: Means over the images of the trace.

    Raises:
        ValueError: If the trace is empty, has no spiking neuron, no edges, or
            is of images of several sizes.

    Example:
        >>> import torch
        >>> from mmsnn.conversion import to_spike_train
        >>> from mmsnn.layers import SpikeConv2d
        >>> conv = SpikeConv2d(1, 2, 3, neuron=dict(type='mmsnn.SFANeuron'))
        >>> with to_spike_train(conv) as spiking:
        ...     _ = spiking(torch.ones(1, 1, 3, 3))
        >>> network = network_from_trace(spiking.trace)
        >>> [(p.name, p.kind, p.shape) for p in network.populations]
        [('input', 'input', (1, 3, 3)), ('neuron', 'neuron', (1, 3, 3)),
         ('(model)', 'real', (2, 1, 1))]
        >>> [(p.name, p.source, p.op, p.total_sops) for p in
        ...  network.projections]
        [('neuron', 'input', 'residual', 0.0),
         ('(model)', 'neuron', 'conv', 18.0)]
    """
    trace.require_images()
    if not any(r.kind == 'neuron' for r in trace):
        raise ValueError('the op trace holds no spiking neuron: record a '
                         'model with spiking neurons, in spike-train form')
    if not any(trace.sources()):
        raise ValueError('the op trace has no edges, so it can not be mapped: '
                         'record it with to_spike_train')
    if len(trace.image_shapes) > 1:
        sizes = ', '.join(
            ' x '.join(map(str, s)) for s in sorted(trace.image_shapes))
        raise ValueError(f'the op trace is of images of {sizes}: a network is '
                         'mapped for one size, record images of equal size')
    return NetworkBuilder(trace).network()


class NetworkBuilder:
    """Makes the network of a trace, see :func:`network_from_trace`.

    An op is named by its number in the trace.

    Args:
        trace (OpTrace): Of images of one size.

    Attributes:
        graph (TraceGraph): Ops that run on a chip and where each result is
            held.
        names (dict): Op -> name of its population, for ops that have one.
        made_by (list[int]): For each projection, the op that it comes from.
    """

    def __init__(self, trace: OpTrace) -> None:
        self.trace = trace
        self.graph = TraceGraph(trace)
        self.images = trace.images * self.graph.runs
        self.records = self.graph.records
        self.shapes = Shapes(self.graph, trace)
        self.names: dict[Source, str] = {}
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.made_by: list[int] = []

    def network(self) -> Network:
        """Make the network; may be called once."""
        for i in self.graph.sources:
            if self.graph.home[i] == i:
                self._name(i)
        inputs: list[Population] = []
        for i in self.graph.sources:
            if self.graph.home[i] == i:
                self.populations.append(self._population(i))
        self.by_name = {p.name: p for p in self.populations}
        for i, sources in self.graph.sources.items():
            for source in sources:
                if not isinstance(source, int):
                    self._outside(source, i, inputs)
            self._project(i)
            self.made_by += [i] * (len(self.projections) - len(self.made_by))
        remainder = remainder_of(self.graph, self.projections, self.made_by,
                                 self.images)
        return Network(
            tuple(inputs + self.populations), tuple(self.projections),
            self.trace.images, self.graph.runs,
            (*run_notes(self.graph, self.trace.images),
             *self._profile_notes(),
             *own_neurons(self.records),
             *remainder_notes([r for r in remainder if r.reason != JOINS],
                              self.graph.runs)), remainder)

    def _profile_notes(self) -> tuple[str, ...]:
        if not any(p.profile for p in self.populations):
            return ()
        return ('How often neurons fire is the mean over all images; which '
                'ones, within a layer, is that of the first image.', )

    def _name(self, i: int) -> str:
        """Module path, numbered where it has several populations."""
        base = self.records[i].module
        name, number = base, 1
        while name in self.names.values():
            number += 1
            name = f'{base}#{number}'
        self.names[i] = name
        return name

    def _population(self, i: int) -> Population:
        record, name = self.records[i], self.names[i]
        shape = self.shapes.population(i)
        if role(record) not in FIRING_KINDS:
            bits = record.accumulator_bits or 32
            return Population(name, shape, state_bits=bits, kind='real')
        return self.firing(
            i,
            Population(
                name,
                shape,
                record.timesteps,
                record.max_spikes,
                (0.0, ) * record.timesteps * record.max_spikes,
                state_bits=math.ceil(8 * record.state_bytes /
                                     math.prod(shape)),
                kind=role(record)), record.spikes, self.images)

    def firing(self, i: int, population: Population, spikes: list[int],
               number: int) -> Population:
        """The same population with other spikes.

        Args:
            i (int): The op of the neurons.
            population (Population): Their population.
            spikes (list[int]): Total of the spikes in each sub-step.
            number (int): By how many to divide for means per run: images
                times runs.

        Returns:
            Population: With the mean spikes and their profile.
        """
        means = [s / number for s in spikes]
        means += [0.0] * (population.substeps - len(spikes))
        return replace(
            population,
            spikes=tuple(means),
            profile=sampled_profile(self.records[i].axis_spikes,
                                    self.shapes.axes(i), population.shape,
                                    means))

    def _outside(self, source: str, i: int, inputs: list[Population]) -> None:
        """Add a population for a tensor that no op has made, unless it has
        one already."""
        key = self._key(source, i)
        if key in self.names:
            return
        name, shape = INPUT, self.shapes.image
        if source != INPUT:
            name = f'{UNKNOWN} ({self.records[i].module})'
            shape = self.shapes.read(i)
        taken = {p.name for p in (*inputs, *self.populations)}
        while name in taken:
            name = f'({name})'
        self.names[key] = name
        inputs.append(Population(name, shape, kind='input', state_bits=0))
        self.by_name[name] = inputs[-1]

    def _held_by(self, source: Source, i: int) -> str:
        """Name of the population that holds what an op reads."""
        if isinstance(source, int):
            return self.names[self.graph.home[source]]
        return self.names[self._key(source, i)]

    def _key(self, source: str, i: int) -> Source:
        return source if source == INPUT else (source, self.records[i].module)

    def _project(self, i: int) -> None:
        record = self.records[i]
        target = self.names[self.graph.home[i]]
        sources: dict[str, Source] = {}
        operands: dict[str, Source] = {}
        for source, operand in self.graph.sources[i].items():
            held = self._held_by(source, i)
            if operand:
                operands.setdefault(held, source)
            elif held != target:
                sources.setdefault(held, source)
        if role(record) in ('synapse', 'relay'):
            self._synapse(i, sources, target, operands)
            return
        self._hand_on(i, sources, target)

    def _hand_on(self, i: int, sources: dict[str, Source],
                 target: str) -> None:
        """Add the projections of an op on real values.

        It may read several populations. Its operations are divided between
        those whose membranes it adds; else the first of all has them.
        """
        record = self.records[i]
        through = self.graph.through.get(i, ())
        summed = [held for held, source in sources.items()
                  if role(record) != 'real' and source not in through and not (
                      isinstance(source, int)
                      and self.records[source].kind == 'neuron')]
        charged = summed or list(sources)[:1]
        share = 1 / self.images / max(1, len(charged))
        for held in sources:
            part = share if held in charged else 0.0
            self.projections.append(
                Projection(
                    record.module,
                    held,
                    target,
                    'residual' if held in summed else 'real',
                    macs=record.macs * part,
                    adds=(record.adds + record.comparisons + record.other) *
                    part))

    def _synapse(self, i: int, sources: dict[str, Source], target: str,
                 operands: dict[str, Source]) -> None:
        record = self.records[i]
        spiking = record.spiking
        if not record.static and not operands and len(sources) > 1:
            operands = dict(list(sources.items())[1:])
            sources = dict(list(sources.items())[:1])
        if not sources and operands:  # Q, K and V of the same neurons
            sources = dict(list(operands.items())[:1])
        reads = self.graph.reads.get(i, {})
        some = {held: source for held, source in sources.items()
                if source not in reads or reads[source].elements}
        sources = some or sources
        spikes = {held: source for held, source in sources.items()
                  if self.by_name[held].spikes}
        if spiking and spikes and len(spikes) < len(sources):
            # What tells which spikes are taken: masks, indices.
            self.projections += [
                Projection(record.module, held, target, 'real')
                for held in sources if held not in spikes
            ]
            sources = spikes
        read = [(self.by_name[held], reads.get(source))
                for held, source in sources.items()]
        parts = divided(record, read, self.images,
                        self.shapes.channels_in(record))
        for (population, found), source, part in zip(read, sources.values(),
                                                     parts):
            wiring = self._wiring(i, population, source, found, part.offset)
            self.projections.append(
                Projection(
                    record.module,
                    population.name,
                    target,
                    'relay' if role(record) == 'relay' else record.kind,
                    weights=part.weights,
                    synapses=round(
                        Fraction(record.synapses, self.images *
                                 record.timesteps) * part.connections),
                    sops=self._sops(record, population,
                                    part.operations) if spiking else (),
                    macs=float(record.macs * part.operations / self.images),
                    adds=float((record.adds + record.comparisons +
                                record.other) * part.operations /
                               self.images),
                    static=record.static,
                    reason='' if record.static else
                    record.note or NOT_STATIC,
                    operand=next(iter(operands), ''),
                    neurons_read=neurons_read(found, population)
                    if found and part.spikes_read else None,
                    spikes_read=part.spikes_read,
                    target_axes=self.shapes.target_axes(
                        i, self.graph.home[i], wiring.geometry),
                    **vars(wiring)))

    def _wiring(self, i: int, population: Population, source: Source,
                reads: Reads | None, offset: int) -> Wiring:
        """Which neurons of a population a synapse reads."""
        geometry = self.shapes.geometry(i, population)
        if reads is None and isinstance(source, int) and (
                not self.shapes.in_order_of(i, source)):
            reads = self.shapes.whole(source, population)
        if reads is None or not isinstance(source, int):
            return Wiring(geometry, source_offset=offset)
        return wire(reads, geometry, self.shapes.axes(source),
                    population.shape, reads_features(self.records[i]))

    def _sops(self, record: OpRecord, source: Population,
              share: Fraction) -> tuple[float, ...]:
        """Mean additions that the spikes of a source cause.

        The total is exact. It is divided between the sub-steps of the source
        as in the sampled images, where there is such a sample. Else it is
        given as one number.
        """
        total = float(record.sops * share / self.images)
        spikes = source.spikes
        if not math.fsum(spikes):
            return ()
        sampled = sum(record.substep_sops)
        if (_uniform(record) or share != 1 or not sampled
                or len(record.substep_sops) != len(spikes)):
            return (total, )
        return tuple(total * s / sampled for s in record.substep_sops)


def _uniform(record: OpRecord) -> bool:
    """Whether every spike reaches equally many outputs, so that additions
    fall from sub-step to sub-step exactly as spikes do."""
    g = record.geometry
    return record.kind == 'linear' or (bool(g) and {
        *g['kernel'], *g['stride']
    } == {1} and not any(g['padding']))
