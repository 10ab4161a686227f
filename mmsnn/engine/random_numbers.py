"""Random numbers of one's own, beside those of a training."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def own_random_numbers(seed: int) -> Iterator[None]:
    """Context with fixed seeds of Python, NumPy and PyTorch's CPU generator,
    which afterwards go on as if nothing had happened. So do the generators of
    the GPUs, which are not seeded.

    Args:
        seed (int): The seed of all three.

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
        random.seed(seed)
        np.random.seed(seed)
        # torch.manual_seed would seed GPUs, now or once they are used.
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
