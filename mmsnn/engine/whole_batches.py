"""Evaluation by several processes with the batches of one.

A sampler of several processes deals out single samples in turn, and repeats
some where their number is no multiple. Batches are then others than in one
process, and with them padding, rounding, and what is counted. Here each
process gets a stretch of the batches that one process would have.
"""

import copy
from itertools import zip_longest

from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_dist_info,
)
from mmengine.evaluator import Evaluator
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from mmsnn.conversion.upstream.random_numbers import own_random_numbers


class WholeBatches(list):
    """The batches of one of several processes, as a batch sampler.

    Args:
        batches (list[list[int]]): All batches, each of indices of samples.
        rank (int): Number of this process.
        world_size (int): Number of processes.

    Attributes:
        first (int): Number of its first batch.
        start (int): Samples in the batches before.

    Example:
        >>> mine = WholeBatches([[0, 1], [2, 3], [4]], rank=1, world_size=2)
        >>> mine, mine.first, mine.start, mine.samples
        ([[4]], 2, 4, 1)
    """

    def __init__(self, batches: list[list[int]], rank: int,
                 world_size: int) -> None:
        share, rest = divmod(len(batches), world_size)
        self.first = rank * share + min(rank, rest)
        super().__init__(
            batches[self.first:self.first + share + (rank < rest)])
        self.start = sum(map(len, batches[:self.first]))

    @property
    def samples(self) -> int:
        """Samples in its batches."""
        return sum(map(len, self))


def with_whole_batches(loader: DataLoader, key: str) -> DataLoader:
    """A data loader that gives each process a stretch of the batches that one
    process has, in their order; each sample once.

    All processes must call it at the same time. In one process it is the
    loader itself.

    Args:
        loader (DataLoader): What a Runner has built.
        key (str): Key of its config, for errors.

    Returns:
        DataLoader: Like ``loader``, with :class:`WholeBatches`.

    Raises:
        ValueError: The batches of one process can't be told: the data set has
            no indices, ``batch_sampler`` makes them, or the sampler repeats
            samples within a process.
    """
    rank, world_size = get_dist_info()
    batches = loader.batch_sampler
    if world_size == 1 or isinstance(batches, WholeBatches):
        return loader
    without_indices = batches is None or isinstance(loader.dataset,
                                                    IterableDataset)
    if without_indices or type(batches) is not BatchSampler:
        kind = type(loader.dataset if without_indices else batches)
        raise ValueError(
            f'{key}: {kind.__name__} does not tell the batches that one '
            'process would have; use a data set with indices, sampler='
            "dict(type='DefaultSampler', shuffle=False) and no batch_sampler, "
            'or one process')
    with own_random_numbers(0):
        mine = list(loader.sampler)
    parts = all_gather_object(mine)
    if any(len(set(part)) < len(part) for part in parts):
        raise ValueError(
            f'{key}.sampler: {type(loader.sampler).__name__} repeats samples '
            "within a process; use dict(type='DefaultSampler', shuffle=False)"
            ', or one process')
    order = dict.fromkeys(
        i for turn in zip_longest(*parts) for i in turn if i is not None)
    whole = copy.copy(loader)
    # After it was made, a loader lets nobody set these.
    vars(whole).update(
        _iterator=None,
        batch_sampler=WholeBatches(
            list(BatchSampler(order, batches.batch_size, batches.drop_last)),
            rank, world_size))
    return whole


def deal_results(evaluator: Evaluator, batches: WholeBatches) -> None:
    """Let the results that metrics have of single samples be those of every
    n-th sample in process k of n, as metrics expect them: mmengine takes one
    of each process in turn.

    All processes must call it at the same time, after their last batch.
    Metrics that don't keep a result for each sample are left as they are.

    Args:
        evaluator (Evaluator): Its metrics.
        batches (WholeBatches): The batches that they have seen.
    """
    rank, world_size = get_dist_info()
    starts = all_gather_object(batches.start)
    for metric in evaluator.metrics:
        if not all(all_gather_object(
                len(metric.results) == batches.samples)):
            continue
        mine = []
        for source, start in enumerate(starts):
            part = [metric.results if source == rank else None]
            broadcast_object_list(part, source)
            mine += part[0][(rank - start) % world_size::world_size]
        metric.results = mine
