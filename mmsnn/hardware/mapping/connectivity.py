"""Which neurons a projection connects, one axis at a time.

An output of a convolution reads a range of channels, a range of rows and a
range of columns, whatever the other axes are. So a block of neurons reads
``channels x rows x columns`` distinct sources: a mapping counts them for each
axis and multiplies. This is exact and needs no list of connections. The same
holds for the number of connections into a block, and for the sources that it
has in common with a block of another core.

In all of this module ``edges`` are the bounds of blocks along one axis:
``[0, 4, 8, 10]`` are the blocks 0 to 3, 4 to 7, and 8 and 9. ``share``, where
it is given, is a weight for each source (its share of the spikes), so that
sources or connections are not counted, but their weights are added up.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmsnn.hardware.network.populations import Geometry, Population, Projection


class Axis:
    """Connections along one axis, as a list of pairs.

    Args:
        pairs (ndarray): ``(n, 2)`` integers: the index of a target and that
            of a source which it reads.
        targets (int): Length of the axis in the target.
        sources (int): Length of the axis in the source.

    Example:
        A convolution with a kernel of 3 over 4 positions. Outputs 0 and 1
        read inputs 0 to 2 (3 distinct ones) by 2 + 3 connections.

        >>> axis = Axis.positions(4, 4, 4, 4, kernel=3, stride=1, padding=1,
        ...                       dilation=1, transposed=False)
        >>> edges = np.array([0, 2, 4])  # two blocks of two
        >>> axis.distinct(edges), axis.connections(edges)
        (array([3., 3.]), array([5., 5.]))
    """

    def __init__(self, pairs: np.ndarray, targets: int, sources: int) -> None:
        self.pairs, self.targets, self.sources = pairs, targets, sources

    @classmethod
    @lru_cache(maxsize=256)
    def positions(cls, in_size: int, out_size: int, sources: int,
                  targets: int, *, kernel: int, stride: int, padding: int,
                  dilation: int, transposed: bool) -> 'Axis':
        """One position axis of a convolution.

        Populations may be longer or shorter than what the op reads and writes
        (behind a pooling or nearest-neighbour interpolation). Then positions
        are scaled to their length.

        Args:
            in_size (int): Input positions of the op.
            out_size (int): Output positions of the op.
            sources (int): Length of the axis in the source population.
            targets (int): Length of the axis in the target population.
            kernel (int): Taps of the kernel.
            stride (int): Stride.
            padding (int): Padding on both sides.
            dilation (int): Distance of taps.
            transposed (bool): Whether it is a transposed convolution.

        Returns:
            Axis: Its connections, those into the padding left out. Equal
            calls return the same axis.
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
            edges (ndarray): Bounds of the blocks of targets.
            share (ndarray, optional): Weight of each source. Defaults to
                None: each counts 1.

        Returns:
            ndarray: A number for each block.
        """
        _, block, source = self._unique(edges)
        return np.bincount(
            block,
            None if share is None else share[source],
            minlength=len(edges) - 1).astype(float)

    def connections(self, edges: np.ndarray, share=None) -> np.ndarray:
        """Connections into each block of targets.

        Args:
            edges (ndarray): Bounds of the blocks of targets.
            share (ndarray, optional): Weight of each source. Defaults to
                None: each counts 1.

        Returns:
            ndarray: A number for each block.
        """
        block = _block_of(edges)[self.pairs[:, 0]]
        return np.bincount(
            block,
            None if share is None else share[self.pairs[:, 1]],
            minlength=len(edges) - 1).astype(float)

    def fan_out(self, edges: np.ndarray) -> np.ndarray:
        """In how many blocks of targets each source has a target.

        Args:
            edges (ndarray): Bounds of the blocks of targets.

        Returns:
            ndarray: A number for each source.
        """
        _, _, source = self._unique(edges)
        return np.bincount(source, minlength=self.sources).astype(float)

    def overlap(self, edges: np.ndarray, source_edges: np.ndarray,
                share=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which blocks of targets read which blocks of sources.

        Args:
            edges (ndarray): Bounds of the blocks of targets.
            source_edges (ndarray): Bounds of the blocks of sources.
            share (ndarray, optional): Weight of each source. Defaults to
                None: each counts 1.

        Returns:
            tuple: Three arrays with an entry for each connected pair: the
            index of the target block, that of the source block, and how many
            distinct sources of the latter the former reads.
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
    """Connections along the channels, where all of a group are connected.

    Has the methods of :class:`Axis`. A target reads a range of channels, so
    that two numbers for each target replace the list of pairs.

    Args:
        inputs (int): Input channels of the op.
        outputs (int): Output channels of the op.
        groups (int): Groups of the op.
        sources (int): Channels of the source population.
        targets (int): Channels of the target population.
        source_offset (int): Input channel of the op that is channel 0 of the
            source (others where the op reads several populations).
        target_offset (int): Channel of the target that is output channel 0.

    Example:
        Two groups, each of 2 inputs and 4 outputs.

        >>> axis = ChannelAxis(4, 8, 2, 4, 8, 0, 0)
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
        # A target reads sources low to high - 1; none if low >= high.
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
        """As :meth:`Axis.distinct`.

        Args:
            edges (ndarray): Bounds of the blocks of targets.
            share (ndarray, optional): Weight of each source.
        """
        return self._between(*self._ranges(edges), share)

    def connections(self, edges, share=None):
        """As :meth:`Axis.connections`.

        Args:
            edges (ndarray): Bounds of the blocks of targets.
            share (ndarray, optional): Weight of each source.
        """
        return np.add.reduceat(
            self._between(self.low, self.high, share), edges[:-1])

    def fan_out(self, edges):
        """As :meth:`Axis.fan_out`.

        Args:
            edges (ndarray): Bounds of the blocks of targets.
        """
        low, high = self._ranges(edges)
        steps = np.zeros(self.sources + 1)
        used = high > low
        np.add.at(steps, low[used], 1)
        np.add.at(steps, high[used], -1)
        return np.cumsum(steps)[:-1]

    def overlap(self, edges, source_edges, share=None):
        """As :meth:`Axis.overlap`.

        Args:
            edges (ndarray): Bounds of the blocks of targets.
            source_edges (ndarray): Bounds of the blocks of sources.
            share (ndarray, optional): Weight of each source.
        """
        low, high = self._ranges(edges)
        low = np.maximum(low[:, None], source_edges[None, :-1])
        high = np.minimum(high[:, None], source_edges[None, 1:])
        weight = self._between(low, high, share)
        block, source_block = np.nonzero(high > low)
        return block, source_block, weight[block, source_block]


@dataclass(frozen=True)
class Connectivity:
    """Connections of a projection.

    Attributes:
        axes (tuple[Axis | ChannelAxis]): Connections along each axis, the
            channels first.
        exact (bool): False where geometry and shapes of the populations do
            not fit together, so that every source is taken to be connected
            to every target.
    """

    axes: tuple[Axis | ChannelAxis, ...]
    exact: bool


def connectivity(projection: Projection, source: Population,
                 target: Population) -> Connectivity:
    """Find which neurons of two populations a projection connects.

    - With a geometry that has the axes of both populations: as the geometry
      says.
    - ``residual``: each neuron with the one at its place; at the nearest
      place where the populations differ in size.
    - All others: every source with every target. This is exact without a
      geometry, and for a linear layer on a flattened source.

    Args:
        projection (Projection): The projection.
        source (Population): Where it starts.
        target (Population): Where it ends.

    Returns:
        Connectivity: Its connections along each axis.

    Example:
        The whole target reads both channels and all 4 positions.

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
    return (channel, *(Axis.positions(
        geometry.in_shape[i + 1],
        geometry.out_shape[i + 1],
        source.shape[i + 1],
        target.shape[i + 1],
        kernel=geometry.kernel[i],
        stride=geometry.stride[i],
        padding=geometry.padding[i],
        dilation=geometry.dilation[i],
        transposed=geometry.transposed) for i in range(len(geometry.kernel))))


def _dense(source_shape, target_shape):
    length = max(len(source_shape), len(target_shape))
    source = source_shape + (1, ) * (length - len(source_shape))
    target = target_shape + (1, ) * (length - len(target_shape))
    return [
        ChannelAxis(s, t, 1, s, t, 0, 0) for s, t in zip(source, target)
    ]


def _block_of(edges: np.ndarray) -> np.ndarray:
    """Number of the block that each index lies in."""
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))
