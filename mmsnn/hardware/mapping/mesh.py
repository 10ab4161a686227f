"""Where the cores of a mapping lie, and how far messages travel."""

import math
from dataclasses import dataclass

import numpy as np

from mmsnn.hardware.chips.spec import Chip

from .mapper import Link

#: Pairs of cores that are looked at together, for the memory that they take.
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Mesh:
    """Positions of the cores of one or several chips.

    Cores are numbered tile by tile. The tiles of a chip are numbered row by
    row, every second row backwards, so that tiles with consecutive numbers
    are neighbours. Chips lie on a square, numbered in the same way. A message
    goes from tile to tile (a hop), first along x, then along y.

    Attributes:
        cores (int): Cores of a chip.
        cores_per_tile (int): Cores of a tile. Messages between them take no
            hop.
        width (int): Tiles of a chip along x.
        height (int): Tiles of a chip along y.
        chips (int): Number of chips.
        routed (bool): Whether the spec gives a mesh. If not, every position
            is 0 and nothing is known about hops.

    Example:
        >>> mesh = Mesh(cores=8, cores_per_tile=2, width=2, height=2, chips=2)
        >>> x, y, chip_x, chip_y = mesh.positions(np.array([0, 1, 2, 4, 8]))
        >>> x.tolist(), y.tolist(), chip_x.tolist()
        ([0, 0, 1, 1, 2], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1])
    """

    cores: int
    cores_per_tile: int = 1
    width: int = 1
    height: int = 1
    chips: int = 1
    routed: bool = True

    def positions(self, core: np.ndarray) -> tuple[np.ndarray, ...]:
        """Where cores lie.

        Args:
            core (ndarray): Numbers of cores.

        Returns:
            tuple[ndarray]: x and y of the tile, counted over all chips, and x
            and y of the chip; each has an entry for each core.
        """
        chip, within = core // self.cores, core % self.cores
        side = math.isqrt(max(self.chips - 1, 0)) + 1
        chip_x, chip_y = _snake(chip, side)
        if not self.routed:
            zero = np.zeros_like(core)
            return zero, zero, chip_x, chip_y
        x, y = _snake(within // self.cores_per_tile, self.width)
        return (chip_x * self.width + x, chip_y * self.height + y, chip_x,
                chip_y)

    def tiles(self, cores: int) -> int:
        """How many tiles a number of cores fills.

        Args:
            cores (int): Number of cores.
        """
        return -(-cores // self.cores_per_tile)


def _snake(index, width):
    """x and y in rows of a width, every second one numbered backwards."""
    row, column = index // width, index % width
    return np.where(row % 2, width - 1 - column, column), row


def mesh_of(chip: Chip, cores: int) -> Mesh:
    """The mesh of as many chips as are needed for a number of cores.

    Args:
        chip (Chip): A spec with cores.
        cores (int): Number of cores that are used.

    Returns:
        Mesh: Of one or several chips.

    Raises:
        ValueError: If the tiles of the spec do not hold its cores.
        MissingFigureError: If the spec does not know how many cores it has.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> mesh_of(load_chip('loihi'), 300).chips
        3
    """
    number = {
        name: chip.figures.get(f'limits.{name}')
        for name in ('cores_per_tile', 'mesh_width', 'mesh_height')
    }
    known = {
        name: int(figure.value)
        for name, figure in number.items()
        if figure is not None and figure.value is not None
    }
    on_chip = int(chip.figure('limits.cores', 'the placement').value)
    chips = -(-cores // on_chip)
    if not {'mesh_width', 'mesh_height'} <= set(known):
        return Mesh(on_chip, chips=chips, routed=False)
    tile = known.get('cores_per_tile', 1)
    if known['mesh_width'] * known['mesh_height'] * tile < on_chip:
        raise ValueError(
            f'chip spec {chip.path}: limits.mesh_width x mesh_height x '
            f'cores_per_tile must hold the {on_chip} cores')
    return Mesh(on_chip, tile, known['mesh_width'], known['mesh_height'],
                chips)


@dataclass(frozen=True)
class Travel:
    """How far a message of one link travels: means over its messages.

    Attributes:
        hops_ew (float): Hops along x.
        hops_ns (float): Hops along y.
        chips (float): Steps from chip to chip.
        into (ndarray): The same three for the messages that arrive at each
            core of the target, ``(3, cores)``.
    """

    hops_ew: float
    hops_ns: float
    chips: float
    into: np.ndarray


def travel(link: Link, mesh: Mesh, shares) -> Travel:
    """Distances between the cores of a link, weighted by its messages.

    Spikes from outside the chip travel 0 hops.

    Args:
        link (Link): Projection between two mapped populations.
        mesh (Mesh): Where the cores lie.
        shares (list[ndarray]): For each axis of the connectivity the share
            of the spikes of the source at each index.

    Returns:
        Travel: Mean hops and steps between chips.
    """
    target = link.target
    cores = target.cores
    if link.source is None:
        return Travel(0.0, 0.0, 0.0, np.zeros((3, cores)))
    axes = link.connectivity.axes
    edges, source_edges = link.edges, link.source_edges
    pairs = [
        axis.overlap(e, s, share)
        for axis, e, s, share in zip(axes, edges, source_edges, shares)
    ]
    strides = link.connectivity.from_target(
        _strides([len(e) - 1 for e in target.block_edges(len(axes))]))
    source_strides = link.connectivity.from_source(
        _strides([len(e) - 1 for e in link.source.block_edges(len(axes))]))
    here, there = (mesh.positions(
        np.arange(s.first_core, s.first_core + s.cores))
                   for s in (target, link.source))
    sums, arrived = np.zeros((3, cores)), np.zeros(cores)
    for block, source_block, weight in _combined(pairs, strides,
                                                 source_strides):
        gaps = [
            np.abs(a[block] - b[source_block]) for a, b in zip(here, there)
        ]
        distance = (gaps[0], gaps[1], gaps[2] + gaps[3])
        arrived += np.bincount(block, weight, minlength=cores)
        for row, gap in zip(sums, distance):
            row += np.bincount(block, weight * gap, minlength=cores)
    total = arrived.sum()
    means = sums.sum(1) / total if total else np.zeros(3)
    into = np.divide(sums, arrived, out=np.zeros_like(sums),
                     where=arrived > 0)
    return Travel(*(float(m) for m in means), into)


def _strides(blocks: list[int]) -> list[int]:
    """By how much the number of a core grows from one block to the next along
    each axis."""
    return [math.prod(blocks[:i]) for i in range(len(blocks))]


def _combined(pairs, strides, source_strides):
    """Connected pairs of cores, from connected pairs of blocks along each
    axis: arrays of the core of the target, that of the source and a weight,
    in pieces that fit into memory."""
    sizes = [len(p[0]) for p in pairs]
    if not all(sizes):
        return
    rest = math.prod(sizes[1:])
    step = max(1, _CHUNK // rest)
    outer = _outer(pairs[1:], strides[1:], source_strides[1:])
    for start in range(0, sizes[0], step):
        part = [p[start:start + step] for p in pairs[0]]
        yield tuple(
            combine(a * scale, b).ravel() for a, b, scale, combine in zip(
                part, outer, (strides[0], source_strides[0], 1),
                (np.add.outer, np.add.outer, np.multiply.outer)))


def _outer(pairs, strides, source_strides):
    """All combinations of the pairs of blocks of several axes."""
    zero = np.zeros(1, int)
    block, source, weight = zero, zero, np.ones(1)
    for (b, s, w), stride, source_stride in zip(pairs, strides,
                                                source_strides):
        block = np.add.outer(block, b * stride).ravel()
        source = np.add.outer(source, s * source_stride).ravel()
        weight = np.multiply.outer(weight, w).ravel()
    return block, source, weight
