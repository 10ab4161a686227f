"""The network as a chip sees it: populations of neurons and projections.

Mapping and timing read nothing else. Amounts are means per run of the network:
per image, or per crop where an image is cut into several. Shapes are those of
one run, channels first: ``(C, H, W)``, ``(C, tokens)`` or ``(C,)``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from .projections import Projection, require

#: ``neuron``: integrates, then fires. ``relay``: gates without a membrane (a
#: max pooling of spikes), each of which fires if one of its inputs does.
#: ``input``: what the network is given, spikes or (with no ``spikes``) real
#: values. ``real``: accumulators whose values are handed on as numbers: the
#: network's outputs, the product ``K^T V`` of attention, and what goes through
#: an op that can not be folded.
POPULATION_KINDS = ('input', 'neuron', 'real', 'relay')

#: Kinds that fire.
FIRING_KINDS = ('neuron', 'relay')


@dataclass(frozen=True)
class Population:
    """A layer of neurons (or of accumulators, or the input) of one run.

    Attributes:
        name (str): Module path of the neuron layer.
        shape (tuple[int]): Shape of one run, channels first.
        timesteps (int): T.
        max_spikes (int): D, the sub-steps of a time step.
        spikes (tuple[float]): Mean spikes per run in each of the T x D
            sub-steps, all neurons together. Empty where no spikes leave.
        state_bits (int): Bits of state of one neuron; 0 if it keeps none.
        kind (str): One of :data:`POPULATION_KINDS`.
        profile (tuple): Which neurons fire how often. For each sub-step and
            each axis of ``shape`` it has the share of the spikes at each
            index; these sum to 1. The share of one neuron is the product of
            the shares at its indices. Empty: all neurons fire equally often.

    Example:
        >>> Population('fc.neuron', (4, 2), max_spikes=2,
        ...            spikes=(6., 1.)).neurons
        8
    """

    name: str
    shape: tuple[int, ...]
    timesteps: int = 1
    max_spikes: int = 1
    spikes: tuple[float, ...] = ()
    state_bits: int = 32
    kind: str = 'neuron'
    profile: tuple[tuple[tuple[float, ...], ...], ...] = field(
        default=(), repr=False)

    def __post_init__(self):
        where = f'population {self.name!r}'
        require(self.kind in POPULATION_KINDS,
                 f'{where}: kind must be one of '
                 f'{", ".join(POPULATION_KINDS)}, got {self.kind!r}')
        require(
            len(self.shape) > 0 and all(n > 0 for n in self.shape),
            f'{where}: shape must hold positive numbers, got {self.shape}')
        require(
            self.timesteps > 0 and self.max_spikes > 0,
            f'{where}: timesteps and max_spikes must be at least 1, got '
            f'{self.timesteps} and {self.max_spikes}')
        require(self.state_bits >= 0,
                 f'{where}: state_bits must not be negative')
        require(
            len(self.spikes) == self.substeps
            or (not self.spikes and self.kind not in FIRING_KINDS),
            f'{where}: spikes must list timesteps x max_spikes = '
            f'{self.substeps} sub-steps, got {len(self.spikes)}')
        require(
            all(0 <= s <= self.neurons * (1 + 1e-9) for s in self.spikes),
            f'{where}: in a sub-step fire 0 to {self.neurons} neurons, got '
            f'{self.spikes}')
        require(
            not self.profile
            or (len(self.profile) == len(self.spikes)
                and all(tuple(map(len, axes)) == self.shape
                        and all(abs(sum(shares) - 1) < 1e-6
                                and min(shares) >= 0 for shares in axes)
                        for axes in self.profile)),
            f'{where}: profile must hold, for each sub-step and axis, shares '
            f'for each index of {self.shape} that sum to 1')

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    @property
    def substeps(self) -> int:
        """T x D, the sub-steps in which the neurons may fire."""
        return self.timesteps * self.max_spikes

    @property
    def total_spikes(self) -> float:
        """Mean spikes per run, over all sub-steps."""
        return math.fsum(self.spikes)


@dataclass(frozen=True)
class Remainder:
    """Operations of a trace that are in no projection; means per run.

    Attributes:
        module (str): Module path.
        reason (str): Why they are not on the chip.
        ops (int): Number of ops.
        sops (float): Additions caused by spikes.
        macs (float): Multiply-accumulates on real values.
        adds (float): Other operations on real values.
    """

    module: str
    reason: str
    ops: int = 1
    sops: float = 0.0
    macs: float = 0.0
    adds: float = 0.0


@dataclass(frozen=True)
class Network:
    """Populations in topological order and the projections between them.

    Attributes:
        populations (tuple[Population]): Each after those that feed it.
        projections (tuple[Projection]): In any order.
        images (int): Images over which means were taken.
        runs (int): How often the network runs for an image, one run after the
            other: more than once where an image is cut into crops.
        notes (tuple[str]): Sentences: what was assumed when the network was
            made.
        remainder (tuple[Remainder]): What the trace has beside the
            projections: with it, they make up all of its operations.

    Raises:
        ValueError: If names repeat or are unknown, the order is not
            topological, sub-steps do not match, or nothing fires.

    Example:
        >>> network = Network(
        ...     (Population('image', (3, ), kind='input', state_bits=0),
        ...      Population('a', (3, ), spikes=(2., )),
        ...      Population('out', (2, ), kind='real')),
        ...     (Projection('stem', 'image', 'a', 'linear', macs=9.),
        ...      Projection('fc', 'a', 'out', 'linear', weights=6,
        ...                 synapses=6, sops=(4., ))), images=1)
        >>> network.neurons, [p.name for p in network.incoming('out')]
        (5, ['fc'])
        >>> network.sops_per_substep(network.projections[1])
        (4.0,)
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    images: int = 1
    runs: int = 1
    notes: tuple[str, ...] = ()
    remainder: tuple[Remainder, ...] = ()

    def __post_init__(self):
        order = {p.name: i for i, p in enumerate(self.populations)}
        require(self.images > 0, 'a network must stand for at least 1 image')
        require(self.runs > 0,
                 f'runs of a network must be at least 1, got {self.runs}')
        require(len(order) == len(self.populations),
                 'populations of a network must have different names')
        require(
            any(p.kind == 'neuron' for p in self.populations),
            'the network has no population of spiking neurons')
        for projection in self.projections:
            self._check(projection, order)

    def _check(self, projection: Projection, order: dict[str, int]) -> None:
        where = f'projection {projection.name!r}'
        for key in ('source', 'target', 'operand'):
            name = getattr(projection, key)
            require(
                name in order or (key == 'operand' and not name),
                f'{where}: {key} {name!r} is no population of the network')
        source = self[projection.source]
        require(
            order[projection.source] < order[projection.target],
            f'{where}: {projection.source!r} must stand before '
            f'{projection.target!r} in the order of populations')
        require(
            len(projection.sops) in (0, 1, len(source.spikes)),
            f'{where}: sops must have 1 number or one for each of the '
            f'{len(source.spikes)} sub-steps of {source.name!r}, got '
            f'{len(projection.sops)}')
        require(
            not projection.spikes_read or (
                len(projection.spikes_read) == len(source.spikes)
                and all(read <= fired * (1 + 1e-9) for read, fired in zip(
                    projection.spikes_read, source.spikes))),
            f'{where}: spikes_read must have a number for each of the '
            f'{len(source.spikes)} sub-steps of {source.name!r}, at most '
            f'{source.spikes}, got {projection.spikes_read}')
        require(
            not projection.total_sops or source.total_spikes > 0,
            f'{where}: spikes cause additions, but {source.name!r} has none')

    @cached_property
    def _by_name(self) -> dict[str, Population]:
        return {p.name: p for p in self.populations}

    def __getitem__(self, name: str) -> Population:
        """The population with a name."""
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f'no population {name!r} in the network') from None

    def incoming(self, name: str) -> Iterator[Projection]:
        """Projections that end in a population.

        Args:
            name (str): Name of the population.
        """
        return (p for p in self.projections if p.target == name)

    def outgoing(self, name: str) -> Iterator[Projection]:
        """Projections that start in a population.

        Args:
            name (str): Name of the population.
        """
        return (p for p in self.projections if p.source == name)

    def carries(self, projection: Projection) -> str:
        """What a projection sends.

        Args:
            projection (Projection): One of the network.

        Returns:
            str: ``'spikes'``; ``'membranes'`` if it is a residual; ``'real'``
            if it sends real values to an op that runs outside the cores, such
            as a synapse that reads spikes beside real values.
        """
        if projection.op == 'residual':
            return 'membranes'
        values = projection.op == 'real' or (
            projection.macs > 0 and not projection.sops)
        spiking = self[projection.source].spikes and not values
        return 'spikes' if spiking else 'real'

    @property
    def neurons(self) -> int:
        """Neurons and accumulators, the input left out."""
        return sum(p.neurons for p in self.populations if p.kind != 'input')

    def spikes_read(self, projection: Projection) -> tuple[float, ...]:
        """Mean spikes per run that a projection reads in each sub-step.

        Args:
            projection (Projection): One of the network.

        Returns:
            tuple[float]: A number for each sub-step of the source.
        """
        return projection.spikes_read or self[projection.source].spikes

    def sops_per_substep(self, projection: Projection) -> tuple[float, ...]:
        """Mean additions per run in each sub-step of the source.

        Args:
            projection (Projection): One of the network.

        Returns:
            tuple[float]: A number for each sub-step of the source.
        """
        spikes = self.spikes_read(projection)
        if len(projection.sops) == len(spikes):
            return projection.sops
        total, fired = projection.total_sops, math.fsum(spikes)
        return tuple(total * s / fired if fired else 0.0 for s in spikes)
