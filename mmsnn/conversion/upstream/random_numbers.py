"""Random numbers of one's own, beside those of whoever calls."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def own_random_numbers(seed: int | None = None) -> Iterator[None]:
    """Context after which the generators of Python, NumPy and PyTorch go on
    as if nothing had happened. Generators of GPUs are not seeded.

    Args:
        seed (int, optional): Seed of Python's, NumPy's and PyTorch's CPU
            generator. Defaults to None: they go on from where they are.

    Example:
        >>> _ = torch.manual_seed(5)
        >>> first = torch.rand(1)
        >>> _ = torch.manual_seed(5)
        >>> with own_random_numbers(0):
        ...     _ = torch.rand(7)
        >>> torch.equal(torch.rand(1), first)
        True
    """
    states = random.getstate(), np.random.get_state()
    used = torch.cuda.is_available() and torch.cuda.is_initialized()
    gpus = range(torch.cuda.device_count()) if used else ()
    with torch.random.fork_rng(devices=gpus):
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)
            # torch.manual_seed would seed GPUs, now or once they are used.
            torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
