"""Connections along one axis of two populations.

In all of this module ``edges`` are the bounds of blocks along one axis:
``[0, 4, 8, 10]`` are the blocks 0 to 3, 4 to 7, and 8 and 9. ``share``, where
it is given, is a weight for each source (its share of the spikes), so that
sources or connections are not counted, but their weights are added up.
"""

from functools import lru_cache

import numpy as np


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
                  dilation: int, transposed: bool,
                  picks: tuple[int, ...] | None = None) -> 'Axis':
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
            picks (tuple[int], optional): For each input position of the op
                the position of the source that stands there, -1 for none.
                Defaults to None: all of them in their order.

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
        out, at = out[valid] * targets // out_size, at[valid]
        if picks is None:
            at = at * sources // in_size
        else:
            at = np.array(picks)[at]
            out, at = out[at >= 0], at[at >= 0]
        return cls(np.stack([out, at], 1), targets, sources)

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
        block = block_of(edges)[self.pairs[:, 0]]
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
        key = block * columns + block_of(source_edges)[source]
        weight = np.ones(len(key)) if share is None else share[source]
        keys, inverse = np.unique(key, return_inverse=True)
        return (keys // columns, keys % columns,
                np.bincount(inverse, weight, minlength=len(keys)))

    def _unique(self, edges):
        block = block_of(edges)[self.pairs[:, 0]]
        keys = np.unique(block * self.sources + self.pairs[:, 1])
        return keys, keys // self.sources, keys % self.sources


def block_of(edges: np.ndarray) -> np.ndarray:
    """Number of the block that each index lies in.

    Args:
        edges (ndarray): Bounds of the blocks.

    Example:
        >>> block_of(np.array([0, 2, 3]))
        array([0, 0, 1])
    """
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))
