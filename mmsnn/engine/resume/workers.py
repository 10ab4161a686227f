"""Workers of a loader that tell their random states, and begin with some."""

import pickle
from collections.abc import Callable

import torch
from torch.utils.data import get_worker_info

from mmsnn.conversion.upstream.random_numbers import RandomNumbers

from .kept_data import KeptData


class StartedWorker:
    """Starts a worker, with random states that it had before.

    Args:
        start (Callable, optional): The loader's own ``worker_init_fn``.
        restored (list[RandomNumbers | None]): By the worker's number; None
            where it begins anew.
    """

    kept: KeptData

    def __init__(self, start: Callable | None, restored: list) -> None:
        self.start = start
        self.restored = restored

    def __call__(self, number: int) -> None:
        """Start the worker in its process."""
        StartedWorker.kept = KeptData(get_worker_info().dataset)
        if self.start is not None:
            self.start(number)
        if self.restored[number] is not None:
            self.restored[number].restore()


class CollateWithState:
    """Makes a batch, and tells the random states of the worker behind it.

    Args:
        collate (Callable): The loader's own ``collate_fn``.
    """

    def __init__(self, collate: Callable) -> None:
        self.collate = collate

    def __call__(self, samples) -> tuple:
        """The batch, and random states and kept data."""
        batch = self.collate(samples)
        return batch, packed(RandomNumbers(), StartedWorker.kept.found())


def packed(numbers: RandomNumbers, kept: list[str]) -> torch.Tensor:
    """Random states and kept data as a tensor of bytes.

    A tensor comes through shared memory. As bytes they would fill the pipe
    that batches come through, and workers that wait for room in it do not
    end when their process is killed.

    Args:
        numbers (RandomNumbers): Random states.
        kept (list[str]): Attributes that hold data of earlier samples.

    Returns:
        Tensor: Bytes, for other processes of the same run only.
    """
    return torch.frombuffer(
        bytearray(pickle.dumps((numbers, kept), 5)), dtype=torch.uint8)


def unpacked(state: torch.Tensor) -> tuple[RandomNumbers, list[str]]:
    """The reverse of :func:`packed`.

    Args:
        state (Tensor): What :func:`packed` gave in a process of this run; it
            is unpickled, so it must not come from a file.

    Returns:
        tuple[RandomNumbers, list[str]]: What was packed.
    """
    return pickle.loads(state.numpy().tobytes())
