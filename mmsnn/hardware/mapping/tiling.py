"""How large a block of a layer one core can hold."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmsnn.hardware.network.populations import Population, Projection

from .limits import LayerFit, Limits


@dataclass(frozen=True)
class Demand:
    """What blocks of a population ask of the cores that hold them.

    Attributes:
        population (Population): What is split.
        incoming (list): (projection, its axes) of all that ends here.
        outgoing (list): For each projection that starts here, the number of
            blocks of the target that each index of each axis reaches.
        shared (bool): Whether a core stores each weight once.
        weight_bits (int): Bits of a stored weight.
        state_bits (int): Bits of state of a neuron.
    """

    population: Population
    incoming: list[tuple[Projection, tuple]]
    outgoing: list[list[np.ndarray]]
    shared: bool
    weight_bits: int
    state_bits: int


def block_sizes(length: int) -> list[int]:
    """Block lengths that are worth a try: the longest is the smallest that
    splits an axis in so many parts.

    Example:
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
    """Bounds of blocks of ``size`` (the last may be shorter).

    Example:
        >>> block_edges(10, 4)
        array([ 0,  4,  8, 10])
    """
    return np.append(np.arange(0, length, size), length)


@lru_cache(maxsize=100_000)
def axis_inputs(axis, size: int) -> tuple[float, float, float]:
    """Of the blocks of an axis: most distinct sources, their sum, most
    connections."""
    edges = block_edges(axis.targets, size)
    distinct = axis.distinct(edges)
    return distinct.max(), distinct.sum(), axis.connections(edges).max()


class _Grid:
    """Products over the axes for all combinations of block sizes."""

    def __init__(self, sizes: list[list[int]]) -> None:
        self.sizes = sizes

    def __call__(self, factors) -> np.ndarray:
        """``factors``: for each axis one number for each block size."""
        result = np.ones(())
        for values in factors:
            result = np.multiply.outer(result, np.asarray(values, float))
        return result


def best_tiling(
        demand: Demand,
        limits: Limits) -> tuple[tuple[np.ndarray, ...], LayerFit]:
    """Blocks that need the fewest cores, then the fewest axons.

    Limits that not even the smallest block keeps are left aside, and the
    layer does not fit.

    Returns:
        tuple: Bounds of the blocks along each axis, and how the layer fits.
    """
    shape = demand.population.shape
    sizes = [block_sizes(n) for n in shape]
    if limits.one_layer_a_core:
        sizes = [[n] for n in shape]
    grid = _Grid(sizes)
    needs, axons = _needs(demand, sizes, grid)
    cores = grid([-(-n // np.array(s)) for n, s in zip(shape, sizes)])
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


def _needs(demand: Demand, sizes, grid) -> tuple[dict, np.ndarray]:
    """Resource -> what the fullest core needs, and axons of all cores, for
    all combinations of block sizes."""
    neurons = grid(sizes)
    axons, total, stored, fan_in = 0.0, 0.0, 0.0, 0.0
    for projection, axes in demand.incoming:
        rows = [[axis_inputs(axis, size) for size in s] for axis, s in zip(
            axes, sizes + [[1]] * (len(axes) - len(sizes)))]
        most, sums, links = (
            grid([[row[i] for row in axis]
                  for axis in rows]).reshape(neurons.shape)
            for i in range(3))
        axons, total = axons + most, total + sums
        if projection.op == 'residual':
            continue  # no stored weights
        fan_in += np.prod([axis_inputs(axis, 1)[2] for axis in axes])
        stored = stored + (_shared(projection, demand.population, sizes, grid)
                           if demand.shared else links)
    axons_out = 0.0
    for reach in demand.outgoing:
        factors = []
        for axis, s in enumerate(sizes):
            sums = [
                np.add.reduceat(reach[axis],
                                block_edges(len(reach[axis]), size)[:-1]).max()
                for size in s
            ]
            factors.append(sums)
        extra = np.prod([r.max() for r in reach[len(sizes):]])
        axons_out = axons_out + grid(factors) * extra
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


def _shared(projection: Projection, population: Population, sizes, grid):
    """Weights that a block needs if outputs share them."""
    if projection.geometry is None:  # every output has its own
        return grid(sizes) * projection.weights / population.neurons
    channels = min(projection.geometry.out_shape[0], population.shape[0])
    factors = [np.minimum(sizes[0], channels) / channels]
    factors += [np.ones(len(s)) for s in sizes[1:]]
    return grid(factors) * projection.weights


def _why_not(broken: dict[str, float], limits: Limits) -> list[str]:
    what = 'the whole layer' if limits.one_layer_a_core else 'one neuron'
    return [
        f'{what} needs {need:,.0f} {limits.unit(name)} ({name}), a core of '
        f'{limits.chip.name} has at most {limits.most(name):,.0f}'
        for name, need in broken.items()
    ]
