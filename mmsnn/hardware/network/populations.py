"""The network as a chip sees it: populations of neurons and projections.

Mapping and timing read nothing else. Amounts are means per run of the network:
per image, or per crop where an image is cut into several. Shapes are those of
one run, channels first: ``(C, H, W)``, ``(C, tokens)`` or ``(C,)``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

#: ``neuron``: integrates, then fires. ``relay``: gates without a membrane (a
#: max pooling of spikes), each of which fires if one of its inputs does.
#: ``input``: what the network is given, spikes or (with no ``spikes``) real
#: values. ``real``: accumulators whose values are handed on as numbers: the
#: network's outputs, the product ``K^T V`` of attention, and what goes through
#: an op that can not be folded.
POPULATION_KINDS = ('input', 'neuron', 'real', 'relay')

#: Kinds that fire.
FIRING_KINDS = ('neuron', 'relay')

#: ``conv``, ``linear`` and ``matmul`` are synapses. ``relay`` brings spikes to
#: gates, without any weight. ``residual`` hands the membrane potentials of the
#: source on (one addition per neuron); ``real`` is any other op on real values
#: (interpolation, norm, pooling).
PROJECTION_OPS = ('conv', 'linear', 'matmul', 'residual', 'real', 'relay')


def _require(valid: bool, message: str) -> None:
    if not valid:
        raise ValueError(message)


@dataclass(frozen=True)
class Geometry:
    """Which inputs each output of a synapse reads.

    A linear layer over tokens is a convolution with a kernel of 1 over
    ``(C, tokens)``. A plain linear layer has no positions at all: its kernel,
    stride, padding and dilation are ``()``.

    Attributes:
        in_shape (tuple[int]): Shape of the input, ``(C_in, *positions)``.
        out_shape (tuple[int]): Shape of the output, ``(C_out, *positions)``.
        kernel (tuple[int]): Size of the kernel. It has a number for each
            position axis, like the next three.
        stride (tuple[int]): Stride, as of the convolution of PyTorch.
        padding (tuple[int]): Padding on both sides.
        dilation (tuple[int]): Distance of kernel elements.
        groups (int): Number of groups of channels.
        transposed (bool): Whether it is a transposed convolution.

    Example:
        >>> Geometry.linear(8, 2, tokens=16)
        Geometry(in_shape=(8, 16), out_shape=(2, 16), kernel=(1,), ...
        >>> Geometry.linear(8, 2).kernel
        ()
    """

    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False

    def __post_init__(self):
        axes = len(self.in_shape) - 1
        for name in ('kernel', 'stride', 'padding', 'dilation'):
            value = getattr(self, name)
            _require(
                len(value) == axes and all(v >= (name != 'padding')
                                           for v in value),
                f'geometry {name} must have one positive number for each of '
                f'the {axes} position axes of {self.in_shape}, got {value}')
        _require(
            len(self.out_shape) == axes + 1
            and all(n > 0 for n in self.in_shape + self.out_shape),
            f'geometry shapes must be positive and of equal length, got '
            f'{self.in_shape} and {self.out_shape}')
        _require(
            self.groups > 0 and self.in_shape[0] % self.groups == 0
            and self.out_shape[0] % self.groups == 0,
            f'geometry groups must divide the channels {self.in_shape[0]} '
            f'and {self.out_shape[0]}, got {self.groups}')

    @classmethod
    def linear(cls,
               inputs: int,
               outputs: int,
               tokens: int | None = None) -> 'Geometry':
        """The geometry of a linear layer.

        Args:
            inputs (int): Input features.
            outputs (int): Output features.
            tokens (int, optional): Number of tokens that it is applied to.
                Defaults to None: there is no axis of tokens.

        Returns:
            Geometry: Channels are features, positions are tokens.
        """
        if tokens is None:
            return cls((inputs, ), (outputs, ))
        return cls((inputs, tokens), (outputs, tokens), (1, ), (1, ), (0, ),
                   (1, ))


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
        _require(self.kind in POPULATION_KINDS,
                 f'{where}: kind must be one of '
                 f'{", ".join(POPULATION_KINDS)}, got {self.kind!r}')
        _require(
            len(self.shape) > 0 and all(n > 0 for n in self.shape),
            f'{where}: shape must hold positive numbers, got {self.shape}')
        _require(
            self.timesteps > 0 and self.max_spikes > 0,
            f'{where}: timesteps and max_spikes must be at least 1, got '
            f'{self.timesteps} and {self.max_spikes}')
        _require(self.state_bits >= 0,
                 f'{where}: state_bits must not be negative')
        _require(
            len(self.spikes) == self.substeps
            or (not self.spikes and self.kind not in FIRING_KINDS),
            f'{where}: spikes must list timesteps x max_spikes = '
            f'{self.substeps} sub-steps, got {len(self.spikes)}')
        _require(
            all(0 <= s <= self.neurons * (1 + 1e-9) for s in self.spikes),
            f'{where}: in a sub-step fire 0 to {self.neurons} neurons, got '
            f'{self.spikes}')
        _require(
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
class Projection:
    """The connections of one population to another.

    A synapse ends in the first population that fires from its output; norms
    between them are folded. Where a residual stream goes on, the next
    population of the stream gets these membrane potentials by a projection
    ``residual``.

    Attributes:
        name (str): Module path of the synapse.
        source (str): Name of the population that feeds it.
        target (str): Name of the population that it ends in.
        op (str): One of :data:`PROJECTION_OPS`.
        weights (int): Weights that are stored if outputs share them.
        synapses (int): Connections of single neurons, without those into the
            padding. So many weights are stored if outputs do not share them.
        sops (tuple[float]): Mean additions caused by spikes per run: one
            number for each sub-step of the source; or one for all of them,
            which is then divided as the spikes of the source are.
        macs (float): Mean multiply-accumulates on real values per run.
        adds (float): Mean additions of real values per run (residuals).
        geometry (Geometry | None): Which neurons are connected. None: every
            one of the source with every one of the target.
        static (bool): Whether the weights are known before the run.
        reason (str): Where ``static`` is false: why it is.
        operand (str): For a product of two populations: the one that holds
            the other operand, which must be complete before the source
            fires. Empty elsewhere.
        source_offset (int): Input channel of the op that is channel 0 of the
            source; not 0 where the op reads several populations, concatenated.
        target_offset (int): Channel of the target that is output channel 0.
        picks (tuple): Which neurons of the source it reads, where that is not
            all of them in their order: for each axis of the input of
            ``geometry`` the index of the source at each place, -1 where there
            is none; or None for an axis in its order. Where all are connected
            with all, for each axis of the source the indices that are read.
        source_axes (tuple[int]): For each axis of the input of ``geometry``
            the axis of the source that lies along it. Empty: in their order.
        target_axes (tuple[int]): The same for the output of ``geometry`` and
            the axes of the target.
        scattered (bool): Whether it reads neurons that are not given by
            indices along axes. All cores of the source are then taken to
            send to all of the target.
        neurons_read (int | None): How many neurons of the source it reads;
            None: all. It counts where ``picks`` do not say it.
        spikes_read (tuple[float]): Mean spikes of the source that it reads
            per run, in each sub-step of the source, each once. Empty: all.
    """

    name: str
    source: str
    target: str
    op: str
    weights: int = 0
    synapses: int = 0
    sops: tuple[float, ...] = ()
    macs: float = 0.0
    adds: float = 0.0
    geometry: Geometry | None = None
    static: bool = True
    reason: str = ''
    operand: str = ''
    source_offset: int = 0
    target_offset: int = 0
    picks: tuple[tuple[int, ...] | None, ...] = field(default=(), repr=False)
    source_axes: tuple[int, ...] = ()
    target_axes: tuple[int, ...] = ()
    scattered: bool = False
    neurons_read: int | None = None
    spikes_read: tuple[float, ...] = ()

    def __post_init__(self):
        where = f'projection {self.name!r} of {self.source!r}'
        _require(self.op in PROJECTION_OPS,
                 f'{where}: op must be one of {", ".join(PROJECTION_OPS)}, '
                 f'got {self.op!r}')
        amounts = (self.weights, self.synapses, *self.sops, self.macs,
                   self.adds, self.source_offset, self.target_offset,
                   self.neurons_read or 0, *self.spikes_read)
        _require(all(a >= 0 for a in amounts),
                 f'{where}: amounts must not be negative')
        _require(
            self.static or bool(self.reason),
            f'{where}: say in reason why the weights are not static')

    @property
    def total_sops(self) -> float:
        """Mean additions caused by spikes per run."""
        return math.fsum(self.sops)


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
        _require(self.images > 0, 'a network must stand for at least 1 image')
        _require(self.runs > 0,
                 f'runs of a network must be at least 1, got {self.runs}')
        _require(len(order) == len(self.populations),
                 'populations of a network must have different names')
        _require(
            any(p.kind == 'neuron' for p in self.populations),
            'the network has no population of spiking neurons')
        for projection in self.projections:
            self._check(projection, order)

    def _check(self, projection: Projection, order: dict[str, int]) -> None:
        where = f'projection {projection.name!r}'
        for key in ('source', 'target', 'operand'):
            name = getattr(projection, key)
            _require(
                name in order or (key == 'operand' and not name),
                f'{where}: {key} {name!r} is no population of the network')
        source = self[projection.source]
        _require(
            order[projection.source] < order[projection.target],
            f'{where}: {projection.source!r} must stand before '
            f'{projection.target!r} in the order of populations')
        _require(
            len(projection.sops) in (0, 1, len(source.spikes)),
            f'{where}: sops must have 1 number or one for each of the '
            f'{len(source.spikes)} sub-steps of {source.name!r}, got '
            f'{len(projection.sops)}')
        _require(
            not projection.spikes_read or (
                len(projection.spikes_read) == len(source.spikes)
                and all(read <= fired * (1 + 1e-9) for read, fired in zip(
                    projection.spikes_read, source.spikes))),
            f'{where}: spikes_read must have a number for each of the '
            f'{len(source.spikes)} sub-steps of {source.name!r}, at most '
            f'{source.spikes}, got {projection.spikes_read}')
        _require(
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
            if it sends real values to an op that runs outside the cores.
        """
        if projection.op == 'residual':
            return 'membranes'
        spiking = self[projection.source].spikes and projection.op != 'real'
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
