"""Who is connected to whom, axis by axis.

A synapse connects an output to the product of a range of channels and ranges
of positions. So everything that a mapping needs (distinct sources of a block
of neurons, connections into it, overlap with a block of sources) is a product
of numbers that are found for each axis alone, exactly and without a list of
connections.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmsnn.hardware.network.populations import Geometry, Population, Projection


class Axis:
    """Connections along one axis, as pairs of (target, source) indices.

    Args:
        pairs (ndarray): ``(n, 2)`` integers, target and source index.
        targets (int): Length of the axis in the target.
        sources (int): Length of the axis in the source.

    Example:
        >>> axis = Axis.positions(4, 4, 4, 4, kernel=3, stride=1, padding=1,
        ...                       dilation=1, transposed=False)
        >>> edges = np.array([0, 2, 4])  # two blocks of two
        >>> axis.distinct(edges), axis.connections(edges)
        (array([3., 3.]), array([5., 5.]))
    """

    def __init__(self, pairs: np.ndarray, targets: int, sources: int) -> None:
        self.pairs, self.targets, self.sources = pairs, targets, sources

    @classmethod
    def positions(cls, in_size: int, out_size: int, sources: int,
                  targets: int, *, kernel: int, stride: int, padding: int,
                  dilation: int, transposed: bool) -> 'Axis':
        """One position axis of a convolution.

        Where the populations have another length than the op (pooling,
        nearest-neighbour interpolation), indices scale with it.
        """
        out, tap = np.meshgrid(
            np.arange(out_size), np.arange(kernel), indexing='ij')
        if transposed:
            at = out + padding - tap * dilation
            valid = at % stride == 0
            at = at // stride
        else:
            at = out * stride - padding + tap * dilation
            valid = np.ones_like(at, bool)
        valid &= (at >= 0) & (at < in_size)
        pairs = np.stack([
            out[valid] * targets // out_size, at[valid] * sources // in_size
        ], 1)
        return cls(pairs, targets, sources)

    def distinct(self, edges: np.ndarray, share=None) -> np.ndarray:
        """Distinct sources of each block of targets.

        Args:
            edges (ndarray): Bounds of the blocks, from 0 to ``targets``.
            share (ndarray, optional): Weight of each source instead of 1.
        """
        _, block, source = self._unique(edges)
        return np.bincount(
            block,
            None if share is None else share[source],
            minlength=len(edges) - 1).astype(float)

    def connections(self, edges: np.ndarray, share=None) -> np.ndarray:
        """Connections into each block of targets, each source weighted."""
        block = _block_of(edges)[self.pairs[:, 0]]
        return np.bincount(
            block,
            None if share is None else share[self.pairs[:, 1]],
            minlength=len(edges) - 1).astype(float)

    def fan_out(self, edges: np.ndarray) -> np.ndarray:
        """Blocks of targets that each source reaches."""
        _, _, source = self._unique(edges)
        return np.bincount(source, minlength=self.sources).astype(float)

    def overlap(self, edges: np.ndarray, source_edges: np.ndarray,
                share=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Blocks of targets and sources that are connected.

        Returns:
            tuple: Index of the target block, of the source block, and the
            (weighted) number of distinct sources in both.
        """
        _, block, source = self._unique(edges)
        columns = len(source_edges) - 1
        key = block * columns + _block_of(source_edges)[source]
        weight = np.ones(len(key)) if share is None else share[source]
        keys, inverse = np.unique(key, return_inverse=True)
        return (keys // columns, keys % columns,
                np.bincount(inverse, weight, minlength=len(keys)))

    def _unique(self, edges):
        block = _block_of(edges)[self.pairs[:, 0]]
        keys = np.unique(block * self.sources + self.pairs[:, 1])
        return keys, keys // self.sources, keys % self.sources


class ChannelAxis:
    """The channel axis: groups, each from a range to a range.

    Has the methods of :class:`Axis`, without listing pairs.

    Example:
        >>> axis = ChannelAxis(4, 8, 2, 4, 8, 0, 0)  # 2 groups: 2 to 4
        >>> axis.distinct(np.array([0, 4, 8])), axis.fan_out(
        ...     np.array([0, 2, 8]))
        (array([2., 2.]), array([2., 2., 1., 1.]))
    """

    def __init__(self, inputs: int, outputs: int, groups: int, sources: int,
                 targets: int, source_offset: int,
                 target_offset: int) -> None:
        self.sources, self.targets = sources, targets
        channel = np.arange(targets) - target_offset
        fed = (channel >= 0) & (channel < outputs)
        group = np.clip(channel, 0, outputs - 1) // (outputs // groups)
        width = inputs // groups
        low = np.clip(group * width - source_offset, 0, sources)
        high = np.clip((group + 1) * width - source_offset, 0, sources)
        # Each target's sources are low..high; nothing where nothing feeds it.
        self.low = np.where(fed, low, sources)
        self.high = np.where(fed, high, 0)

    def _ranges(self, edges):
        return (np.minimum.reduceat(self.low, edges[:-1]),
                np.maximum.reduceat(self.high, edges[:-1]))

    def _between(self, low, high, share):
        if share is None:
            return np.maximum(high - low, 0).astype(float)
        total = np.concatenate([[0.0], np.cumsum(share)])
        return np.where(high > low, total[high] - total[np.minimum(low, high)],
                        0.0)

    def distinct(self, edges, share=None):
        """As :meth:`Axis.distinct`."""
        return self._between(*self._ranges(edges), share)

    def connections(self, edges, share=None):
        """As :meth:`Axis.connections`."""
        return np.add.reduceat(
            self._between(self.low, self.high, share), edges[:-1])

    def fan_out(self, edges):
        """As :meth:`Axis.fan_out`."""
        low, high = self._ranges(edges)
        steps = np.zeros(self.sources + 1)
        used = high > low
        np.add.at(steps, low[used], 1)
        np.add.at(steps, high[used], -1)
        return np.cumsum(steps)[:-1]

    def overlap(self, edges, source_edges, share=None):
        """As :meth:`Axis.overlap`."""
        low, high = self._ranges(edges)
        low = np.maximum(low[:, None], source_edges[None, :-1])
        high = np.minimum(high[:, None], source_edges[None, 1:])
        weight = self._between(low, high, share)
        block, source_block = np.nonzero(high > low)
        return block, source_block, weight[block, source_block]


@dataclass(frozen=True)
class Connectivity:
    """Connections of a projection, one entry per axis.

    Attributes:
        axes (tuple): Axes of source and target.
        exact (bool): False where geometry and shapes do not fit together, so
            that all sources are taken to reach all targets.
    """

    axes: tuple
    exact: bool


def connectivity(projection: Projection, source: Population,
                 target: Population) -> Connectivity:
    """Connections of a projection.

    A projection without geometry connects all to all (``residual`` one to
    one; at other positions, as nearest-neighbour interpolation does). So does
    one whose geometry has another number of axes than the
    populations, unless it is a linear layer on a flattened source.

    Example:
        >>> conv = Geometry((2, 4), (2, 4), (3,), (1,), (1,), (1,))
        >>> axes = connectivity(
        ...     Projection('conv', 'a', 'b', 'conv', geometry=conv),
        ...     Population('a', (2, 4), spikes=(0.,)),
        ...     Population('b', (2, 4), spikes=(0.,))).axes
        >>> [float(axis.distinct(np.array([0, n])).item())
        ...  for axis, n in zip(axes, (2, 4))]
        [2.0, 4.0]
    """
    geometry = projection.geometry
    if (projection.op == 'residual' and source.shape[0] == target.shape[0]
            and len(source.shape) == len(target.shape)):
        ones = (1, ) * (len(source.shape) - 1)
        shape = tuple(map(max, source.shape, target.shape))
        geometry = Geometry(shape, shape, ones, ones, (0, ) * len(ones), ones,
                            groups=shape[0])
    ranks = {len(source.shape), len(target.shape)}
    if geometry is not None and ranks == {len(geometry.in_shape)}:
        return Connectivity(_axes(projection, geometry, source, target), True)
    all_to_all = geometry is None or (not geometry.kernel
                                      and geometry.groups == 1)
    return Connectivity(
        tuple(_dense(source.shape, target.shape)), all_to_all)


def _axes(projection, geometry, source, target):
    channel = ChannelAxis(geometry.in_shape[0], geometry.out_shape[0],
                          geometry.groups, source.shape[0], target.shape[0],
                          projection.source_offset, projection.target_offset)
    return (channel, *(position_axis(
        geometry.in_shape[i + 1], geometry.out_shape[i + 1],
        source.shape[i + 1], target.shape[i + 1], geometry.kernel[i],
        geometry.stride[i], geometry.padding[i], geometry.dilation[i],
        geometry.transposed) for i in range(len(geometry.kernel))))


@lru_cache(maxsize=256)
def position_axis(in_size, out_size, sources, targets, kernel, stride,
                   padding, dilation, transposed) -> Axis:
    return Axis.positions(
        in_size,
        out_size,
        sources,
        targets,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        transposed=transposed)


def _dense(source_shape, target_shape):
    length = max(len(source_shape), len(target_shape))
    source = source_shape + (1, ) * (length - len(source_shape))
    target = target_shape + (1, ) * (length - len(target_shape))
    return [
        ChannelAxis(s, t, 1, s, t, 0, 0) for s, t in zip(source, target)
    ]


def _block_of(edges: np.ndarray) -> np.ndarray:
    """Block of each index, for the bounds of the blocks."""
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))
