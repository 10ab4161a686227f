"""Which blocks a layer is cut into, so that each fits on a core.

A population of shape ``(C, H, W)`` is cut along each axis into blocks of one
size. A core holds one block: some channels at some rows and columns. All
sizes that make a difference are tried together: arrays below have one axis
for each axis of the population, and along it an entry for each size tried.
"""

from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np

from mmsnn.hardware.network.populations import Population
from mmsnn.hardware.network.projections import Projection

from .connectivity import Connectivity
from .limits import LayerFit, Limits


@dataclass(frozen=True)
class Demand:
    """What decides how much of a core a block of a population needs.

    Attributes:
        population (Population): The population that is cut.
        incoming (list): For each projection that ends in it: the projection
            and its connectivity.
        outgoing (list): For each projection that starts in it: the part of
            its neurons that are read, and an array for each axis, which holds
            for each index the number of blocks of the target that it reaches.
        shared (bool): Whether a core stores each weight once, not once for
            each connection.
        weight_bits (int): Bits of a stored weight.
        state_bits (int): Bits of the state of a neuron.
    """

    population: Population
    incoming: list[tuple[Projection, Connectivity]]
    outgoing: list[tuple[float, list[np.ndarray]]]
    shared: bool
    weight_bits: int
    state_bits: int


def block_sizes(length: int) -> list[int]:
    """Lengths of blocks that cut an axis into different numbers of parts.

    Of the lengths that give the same number of parts only the shortest is
    listed: a core then holds no more than it must.

    Args:
        length (int): Length of the axis.

    Returns:
        list[int]: The longest first.

    Example:
        Blocks of 6 to 9 cut 10 into two parts as those of 5 do.

        >>> block_sizes(10)
        [10, 5, 4, 3, 2, 1]
    """
    sizes, parts = [], 1
    while not sizes or sizes[-1] > 1:
        size = -(-length // parts)
        sizes.append(size)
        # The smallest number of parts that gives shorter blocks.
        parts = -(-length // (size - 1)) if size > 1 else parts
    return sizes


def block_edges(length: int, size: int) -> np.ndarray:
    """Bounds of the blocks of an axis; the last may be shorter.

    Args:
        length (int): Length of the axis.
        size (int): Length of a block.

    Returns:
        ndarray: ``(blocks + 1, )``, from 0 to ``length``.

    Example:
        >>> block_edges(10, 4)
        array([ 0,  4,  8, 10])
    """
    return np.append(np.arange(0, length, size), length)


@lru_cache(maxsize=100_000)
def axis_inputs(axis, size: int) -> tuple[float, float, float]:
    """Sources and connections of the blocks along one axis.

    Args:
        axis (Axis | ChannelAxis): Connections along the axis.
        size (int): Length of a block of targets.

    Returns:
        tuple[float, float, float]: Distinct sources of the block that has the
        most, distinct sources summed over blocks, and connections of the
        block that has the most.
    """
    edges = block_edges(axis.targets, size)
    distinct = axis.distinct(edges)
    return distinct.max(), distinct.sum(), axis.connections(edges).max()


def _over_sizes(factors) -> np.ndarray:
    """Products for all combinations of sizes, from one number for each size
    along each axis."""
    return reduce(np.multiply.outer, factors, np.ones(()))


def best_tiling(
        demand: Demand,
        limits: Limits) -> tuple[tuple[np.ndarray, ...], LayerFit]:
    """Cut a population so that it needs the fewest cores.

    Of cuts with equally many cores the one with the fewest axons is taken:
    the fewest (core, neuron that sends to it) pairs. A limit that even a block
    of one neuron exceeds is left out, and the layer does not fit.

    Args:
        demand (Demand): The population and what its blocks need.
        limits (Limits): Limits of the chip.

    Returns:
        tuple: Bounds of the blocks along each axis, and whether the layer
        fits.
    """
    shape = demand.population.shape
    sizes = [block_sizes(n) for n in shape]
    if limits.one_layer_a_core:
        sizes = [[n] for n in shape]
    needs, axons = _needs(demand, sizes)
    cores = _over_sizes([-(-n // np.array(s)) for n, s in zip(shape, sizes)])
    feasible = np.ones(cores.shape, bool)
    broken, at_least = {}, {}
    for name, need in needs.items():
        if name not in limits.values:
            continue
        if need.flat[-1] > limits.most(name):
            broken[name] = float(need.flat[-1])
        else:
            kept = need <= limits.most(name)
            feasible &= kept
            at_least[name] = cores[kept].min()
    score = np.where(feasible, cores, np.inf)
    score = np.where(score == score.min(), axons, np.inf)
    best = np.unravel_index(score.argmin(), score.shape)
    used = {name: float(need[best]) for name, need in needs.items()}
    edges = tuple(
        block_edges(n, s[i]) for n, s, i in zip(shape, sizes, best))
    return edges, LayerFit(
        demand.population.name,
        int(cores[best]),
        demand.population.neurons,
        limited_by=max(at_least, key=at_least.get, default='')
        if cores[best] > 1 else '',
        needs=used,
        reasons=tuple(_why_not(broken, limits)))


def _needs(demand: Demand, sizes) -> tuple[dict, np.ndarray]:
    """Limit -> what the fullest core needs of it, and the axons into all
    cores; both for all combinations of sizes."""
    neurons = _over_sizes(sizes)
    axons, total, stored, fan_in = 0.0, 0.0, 0.0, 0.0
    for projection, found in demand.incoming:
        axes = found.to_target(found.axes)
        rows = [[axis_inputs(axis, size) for size in s] for axis, s in zip(
            axes, sizes + [[1]] * (len(axes) - len(sizes)))]
        most, sums, links = (
            _over_sizes([[row[i] for row in axis]
                         for axis in rows]).reshape(neurons.shape)
            for i in range(3))
        axons, total = axons + found.read * most, total + found.read * sums
        if projection.op == 'residual':
            continue  # no stored weights
        fan_in += found.density * np.prod(
            [axis_inputs(axis, 1)[2] for axis in axes])
        if projection.op == 'relay':
            continue
        stored = stored + (
            _shared(projection, demand.population, sizes,
                    found.target_order[0])
            if demand.shared else found.density * links)
    axons_out = 0.0
    for read, reach in demand.outgoing:
        factors = []
        for axis, s in enumerate(sizes):
            sums = [
                np.add.reduceat(reach[axis],
                                block_edges(len(reach[axis]), size)[:-1]).max()
                for size in s
            ]
            factors.append(sums)
        extra = np.prod([r.max() for r in reach[len(sizes):]])
        axons_out = axons_out + read * _over_sizes(factors) * extra
    zeros = np.zeros(neurons.shape)
    synapse_bytes = zeros + stored * demand.weight_bits / 8
    # Membranes twice: of the image that fires and of the next one.
    state_bytes = neurons * 2 * demand.state_bits / 8
    needs = {
        'neurons': neurons,
        'axons_in': zeros + axons,
        'axons_out': zeros + axons_out,
        'synapse_memory': synapse_bytes,
        'memory': synapse_bytes + state_bytes,
        'fan_in': zeros + fan_in,
    }
    return needs, zeros + total


def _shared(projection: Projection, population: Population, sizes,
            axis: int):
    """Weights that a block needs if a core stores each of them once: those
    of its channels, which lie along an axis of the population."""
    if projection.geometry is None:  # every output has its own
        return _over_sizes(sizes) * projection.weights / population.neurons
    channels = min(projection.geometry.out_shape[0], population.shape[axis])
    factors = [np.ones(len(s)) for s in sizes]
    factors[axis] = np.minimum(sizes[axis], channels) / channels
    return _over_sizes(factors) * projection.weights


def _why_not(broken: dict[str, float], limits: Limits) -> list[str]:
    """A sentence for each limit that even the smallest block exceeds."""
    what = 'the whole layer' if limits.one_layer_a_core else 'one neuron'
    return [
        f'{what} needs {need:,.0f} {limits.unit(name)} ({name}), a core of '
        f'{limits.chip.name} has at most {limits.most(name):,.0f}'
        for name, need in broken.items()
    ]
