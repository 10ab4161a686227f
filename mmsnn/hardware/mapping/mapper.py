"""Split the layers of a network over the cores of a chip, by its limits."""

import math
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np

from mmsnn.hardware.chips.spec import Chip
from mmsnn.hardware.network.populations import Network, Population
from mmsnn.hardware.network.projections import Projection

from .connectivity import Connectivity, connectivity
from .limits import LayerFit, Limits, match_cores
from .tiling import Demand, best_tiling

#: How a core stores weights: each once, or one for each connection.
WEIGHTS = ('shared', 'unrolled')


@dataclass(frozen=True)
class Slices:
    """A population split into blocks, one for each core.

    Attributes:
        population (Population): What is split.
        edges (tuple[ndarray]): Bounds of the blocks along each axis.
        first_core (int): Number of the core of the first block; the others
            follow, first along the channels.

    Example:
        >>> slices = Slices(Population('a', (4, 6), spikes=(0.,)),
        ...                 (np.array([0, 2, 4]), np.array([0, 6])), 3)
        >>> slices.cores, slices.neurons
        (2, array([12., 12.]))
    """

    population: Population
    edges: tuple[np.ndarray, ...]
    first_core: int

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(len(e) - 1 for e in self.edges)

    @property
    def cores(self) -> int:
        """Number of cores."""
        return math.prod(self.blocks)

    @property
    def core_range(self) -> slice:
        """Where its cores stand in an array over all cores of the mapping."""
        return slice(self.first_core, self.first_core + self.cores)

    @property
    def neurons(self) -> np.ndarray:
        """Neurons of each core."""
        return product([np.diff(e).astype(float) for e in self.edges])

    def block_edges(self, axes: int) -> tuple[np.ndarray, ...]:
        """``edges`` of a population that is taken to have more axes.

        Args:
            axes (int): Number of axes; those that lack have length 1.

        Returns:
            tuple[ndarray]: Bounds of the blocks along each axis.
        """
        one = np.array([0, 1])
        return self.edges + (one, ) * (axes - len(self.edges))


def product(factors: list[np.ndarray]) -> np.ndarray:
    """Numbers of cores that are products of numbers of their blocks.

    Args:
        factors (list[ndarray]): For each axis a number for each block.

    Returns:
        ndarray: A number for each core, first along the channels.

    Example:
        >>> product([np.array([1, 2]), np.array([3, 4])])
        array([3, 6, 4, 8])
    """
    result = factors[0]
    for factor in factors[1:]:
        result = np.multiply.outer(factor, result)
    return result.ravel()


@dataclass(frozen=True)
class Link:
    """A projection between two mapped populations.

    Attributes:
        projection (Projection): The projection.
        carries (str): ``spikes`` or ``membranes``.
        source (Slices | None): Cores of its source. None for the input, whose
            spikes come from outside the chip.
        target (Slices): Cores of its target.
        connectivity (Connectivity): Its connections along each axis.
    """

    projection: Projection
    carries: str
    source: Slices | None
    target: Slices
    connectivity: Connectivity

    @property
    def edges(self) -> list[np.ndarray]:
        """Bounds of the blocks of the target along each axis of the
        connectivity."""
        return self.connectivity.from_target(
            self.target.block_edges(len(self.connectivity.axes)))

    @property
    def source_edges(self) -> list[np.ndarray]:
        """Bounds of the blocks of the source along each axis of the
        connectivity."""
        return self.connectivity.from_source(
            self.source.block_edges(len(self.connectivity.axes)))


@dataclass(frozen=True)
class Mapping:
    """A network on the cores of a chip.

    Attributes:
        network (Network): The network.
        chip (Chip): The chip.
        weights (str): ``shared`` or ``unrolled``.
        weight_bits (int): Bits of a stored weight.
        slices (dict[str, Slices]): Name of each population on the chip -> its
            blocks.
        links (tuple[Link]): Projections between these, and those that bring
            spikes from outside the chip.
        layers (tuple[LayerFit]): Whether each layer fits, and why not.
        conditions (tuple[str]): Sentences: what must happen outside the cores.
        unchecked (tuple[str]): Sentences: limits that the spec does not know.
    """

    network: Network
    chip: Chip
    weights: str
    weight_bits: int
    slices: dict[str, Slices]
    links: tuple[Link, ...]
    layers: tuple[LayerFit, ...]
    conditions: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def cores(self) -> int:
        """Number of cores that are used."""
        return sum(s.cores for s in self.slices.values())

    def with_counts(self, network: Network) -> 'Mapping':
        """The same mapping, with other counts of spikes and additions.

        Args:
            network (Network): The same populations and projections in the same
                order, with other counts.

        Returns:
            Mapping: With the same blocks on the same cores.
        """
        slices = {
            name: replace(s, population=network[name])
            for name, s in self.slices.items()
        }
        new = {id(old): p for old, p in zip(self.network.projections,
                                            network.projections)}
        links = tuple(
            replace(
                link,
                projection=new[id(link.projection)],
                source=slices.get(link.projection.source),
                target=slices[link.projection.target])
            for link in self.links)
        return replace(self, network=network, slices=slices, links=links)


def map_network(network: Network,
                chip: Chip,
                weights: str = 'shared',
                weight_bits: int = 8) -> Mapping:
    """Split each layer over as few cores as the chip's limits allow.

    Each core holds a block of neurons of one population (channels x
    positions) and all synapses that end in it. The axons of a core are the
    distinct neurons that send to it; the axons out are the cores that its
    neurons send to, summed over its neurons. Of the blocks that need the
    fewest cores, those with the fewest messages are taken.

    If even the smallest block of a layer exceeds a limit, the layer is split
    as if that limit were not there, and its :class:`LayerFit` says so.

    Args:
        network (Network): The network to map.
        chip (Chip): A spec with ``limits``.
        weights (str): ``shared`` stores each weight once in each core that
            needs it, ``unrolled`` once for each connection.
        weight_bits (int): Bits of a stored weight.

    Returns:
        Mapping: Which neurons each core holds, and whether each layer fits.

    Raises:
        ValueError: If an argument is not valid.
        MissingFigureError: If the spec describes no cores.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> fc = Projection('fc', 'in', 'out', 'linear', weights=6000,
        ...                 synapses=6000, sops=(4.,))
        >>> network = Network(
        ...     (Population('in', (3,), spikes=(1.,), kind='input'),
        ...      Population('out', (2000,), spikes=(2.,))), (fc,))
        >>> mapping = map_network(network, load_chip('loihi'))
        >>> mapping.slices['out'].cores, mapping.layers[0].limited_by
        (2, 'neurons')
    """
    check_weights(weights, weight_bits)
    limits = Limits(chip)
    mapped = [p for p in network.populations if p.kind != 'input']
    tilings, fits = {}, {}
    for population in reversed(mapped):  # targets before their sources
        demand = _demand(network, population, tilings, weights, weight_bits,
                         limits)
        tilings[population.name], fits[population.name] = best_tiling(
            demand, limits)
    layers = [fits[p.name] for p in mapped]
    if limits.one_layer_a_core:
        layers = match_cores(layers, limits)
    slices, first = {}, 0
    for population, layer in zip(mapped, layers):
        slices[population.name] = Slices(population,
                                         tilings[population.name], first)
        first += layer.cores
    layers = [
        limits.judge(layer, network, weights, weight_bits) for layer in layers
    ]
    return Mapping(network, chip, weights, weight_bits, slices,
                   tuple(_links(network, slices)), tuple(layers),
                   tuple(_conditions(network) + limits.quantised(network)),
                   tuple(limits.unchecked))


def check_weights(weights: str, weight_bits: int) -> None:
    """Check the options of a mapping.

    Args:
        weights (str): ``shared`` or ``unrolled``.
        weight_bits (int): Bits of a stored weight.

    Raises:
        ValueError: If one of them is not valid.
    """
    if weights not in WEIGHTS:
        raise ValueError(
            f'weights must be one of {", ".join(WEIGHTS)}, got {weights!r}')
    if not isinstance(weight_bits, Integral) or weight_bits < 1:
        raise ValueError('weight_bits must be a whole number from 1 on, got '
                         f'{weight_bits!r}')


def _demand(network: Network, population: Population, tilings: dict,
            weights: str, weight_bits: int, limits: Limits) -> Demand:
    """What blocks of a population need of a core.

    Products of two activations are left out: they have no weights that could
    be stored, which :meth:`Limits.judge` gives as a reason.
    """
    incoming = []
    for p in network.incoming(population.name):
        if network.carries(p) != 'real' and p.static:
            incoming.append((p, connectivity(p, network[p.source],
                                             population)))
    outgoing = []
    for p in network.outgoing(population.name):
        if (network.carries(p) != 'real' and p.static
                and p.target in tilings):
            found = connectivity(p, population, network[p.target])
            edges = found.from_target(
                Slices(network[p.target], tilings[p.target],
                       0).block_edges(len(found.axes)))
            reach = found.to_source(
                [axis.fan_out(e) for axis, e in zip(found.axes, edges)])
            outgoing.append((found.read, reach))
    return Demand(population, incoming, outgoing, weights == 'shared',
                  weight_bits, limits.state_bits(population))


def _links(network: Network, slices: dict[str, Slices]):
    for p in network.projections:
        carries = network.carries(p)
        source = network[p.source]
        outside = source.kind == 'input'
        if carries == 'real' or p.target not in slices or not (
                outside or p.source in slices):
            continue
        yield Link(p, carries, slices.get(p.source), slices[p.target],
                   connectivity(p, source, network[p.target]))


def _conditions(network: Network) -> list[str]:
    """What the cores can not do, so that it must happen outside."""
    texts, runs = [], network.runs
    for r in network.remainder:
        if r.sops:
            texts.append(
                f'{r.module}: {runs * r.sops:,.0f} additions by spikes per '
                f'image run outside the cores: what causes them {r.reason}')
    for p in network.projections:
        if network.carries(p) == 'real' and p.op != 'real':
            texts.append(
                f'{p.name}: its input is real-valued, so it runs outside the '
                f'cores ({runs * p.macs:,.0f} multiply-accumulates per image)'
                f', and its result is set in {p.target} before its window')
        elif network.carries(p) == 'real':
            texts.append(
                f'{p.name}: an op on real values between {p.source} and '
                f'{p.target} runs outside the cores ({runs * p.macs:,.0f} '
                f'multiply-accumulates and {runs * p.adds:,.0f} additions per '
                'image)')
    for p in network.populations:
        if p.kind == 'input' and p.spikes:
            texts.append(f'{p.name}: {runs * p.total_spikes:,.0f} spikes per '
                         'image enter from outside the chip')
    return texts
