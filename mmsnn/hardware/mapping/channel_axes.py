"""Connections along the channels of two populations.

Words are those of :mod:`.axes`.
"""

import numpy as np

from .axes import Axis, block_of


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
            source (others where the op reads several populations; negative
            where it does not read the first channels).
        target_offset (int): Channel of the target that is output channel 0.
        read (tuple[int, int], optional): First channel of the source that is
            read and the one behind the last. Defaults to None: all of them.

    Example:
        Two groups, each of 2 inputs and 4 outputs.

        >>> axis = ChannelAxis(4, 8, 2, 4, 8, 0, 0)
        >>> axis.distinct(np.array([0, 4, 8])), axis.fan_out(
        ...     np.array([0, 2, 8]))
        (array([2., 2.]), array([2., 2., 1., 1.]))
    """

    def __init__(self, inputs: int, outputs: int, groups: int, sources: int,
                 targets: int, source_offset: int, target_offset: int,
                 read: tuple[int, int] | None = None) -> None:
        self.sources, self.targets = sources, targets
        channel = np.arange(targets) - target_offset
        fed = (channel >= 0) & (channel < outputs)
        group = np.clip(channel, 0, outputs - 1) // (outputs // groups)
        width = inputs // groups
        first, end = read or (0, sources)
        low = np.clip(group * width - source_offset, first, end)
        high = np.clip((group + 1) * width - source_offset, first, end)
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


class PickedChannels(Axis):
    """Connections along the channels where the op reads them in any order.

    Args:
        picks (tuple[int]): For each input channel of the op the channel of
            the source that stands there, -1 for none.
        outputs (int): Output channels of the op.
        groups (int): Groups of the op.
        sources (int): Channels of the source population.
        targets (int): Channels of the target population.
        target_offset (int): Channel of the target that is output channel 0.

    Example:
        Of four channels two groups read the first and last; then the third,
        twice.

        >>> axis = PickedChannels((0, 3, 2, 2), 2, 2, 4, 2, 0)
        >>> axis.distinct(np.array([0, 1, 2])), axis.connections(
        ...     np.array([0, 1, 2])), axis.fan_out(np.array([0, 2]))
        (array([2., 1.]), array([2., 2.]), array([1., 0., 1., 1.]))
    """

    def __init__(self, picks: tuple[int, ...], outputs: int, groups: int,
                 sources: int, targets: int, target_offset: int) -> None:
        channel = np.arange(targets) - target_offset
        fed = (channel >= 0) & (channel < outputs)
        self._fed = np.flatnonzero(fed)
        self._group = channel[fed] // (outputs // groups)
        width = len(picks) // groups
        #: For each group the channels that it reads.
        self._read = [
            np.array([p for p in picks[g * width:(g + 1) * width] if p >= 0],
                     int) for g in range(groups)
        ]
        self.sources, self.targets = sources, targets

    def _blocks(self, edges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of a block and a group of which it has targets, and how many
        of these."""
        groups = len(self._read)
        keys, number = np.unique(
            block_of(edges)[self._fed] * groups + self._group,
            return_counts=True)
        return keys // groups, keys % groups, number

    def connections(self, edges, share=None):
        """As :meth:`Axis.connections`.

        Args:
            edges (ndarray): Bounds of the blocks of targets.
            share (ndarray, optional): Weight of each source.
        """
        block, group, number = self._blocks(edges)
        into = np.array([
            len(read) if share is None else share[read].sum()
            for read in self._read
        ], float)
        return np.bincount(block, number * into[group],
                           minlength=len(edges) - 1)

    def _unique(self, edges):
        block, group, _ = self._blocks(edges)
        read = [self._read[g] for g in group]
        pairs = [np.full(len(r), b * self.sources) + r
                 for b, r in zip(block, read)]
        keys = np.unique(np.concatenate([np.zeros(0, int), *pairs]))
        return keys, keys // self.sources, keys % self.sources


def channels(inputs: int, outputs: int, groups: int, sources: int,
             targets: int, source_offset: int = 0, target_offset: int = 0,
             picks: tuple[int, ...] | None = None
             ) -> 'ChannelAxis | PickedChannels':
    """The channels of an op.

    Args:
        inputs (int): Input channels of the op.
        outputs (int): Output channels of the op.
        groups (int): Groups of the op.
        sources (int): Channels of the source population.
        targets (int): Channels of the target population.
        source_offset (int): As of :class:`ChannelAxis`.
        target_offset (int): As of :class:`ChannelAxis`.
        picks (tuple[int], optional): As of :class:`PickedChannels`. Defaults
            to None: all in their order.

    Returns:
        ChannelAxis | PickedChannels: The former where the channels that are
        read follow each other.

    Example:
        The op reads channels 2 and 3 of the source, behind one of padding.

        >>> axis = channels(3, 4, 1, 6, 4, picks=(-1, 2, 3))
        >>> axis.fan_out(np.array([0, 4]))
        array([0., 0., 1., 1., 0., 0.])
    """
    if picks is None:
        return ChannelAxis(inputs, outputs, groups, sources, targets,
                           source_offset, target_offset)
    at = [i for i, p in enumerate(picks) if p >= 0]
    shift = at[0] - picks[at[0]] if at else 0
    if at and at == [picks[i] + shift for i in range(at[0], at[-1] + 1)]:
        return ChannelAxis(inputs, outputs, groups, sources, targets, shift,
                           target_offset, (picks[at[0]], picks[at[-1]] + 1))
    return PickedChannels(picks, outputs, groups, sources, targets,
                          target_offset)
