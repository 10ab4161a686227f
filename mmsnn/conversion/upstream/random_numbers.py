"""Random numbers of one's own, beside those of whoever calls."""

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


class RandomNumbers:
    """Where the generators of Python, NumPy and PyTorch are, those of GPUs in
    use included.

    Example:
        >>> before = RandomNumbers()
        >>> first = torch.rand(2)
        >>> before == RandomNumbers()
        False
        >>> before.restore()
        >>> torch.equal(torch.rand(2), first)
        True
    """

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state(legacy=False)
        self._cpu = torch.get_rng_state()
        used = torch.cuda.is_available() and torch.cuda.is_initialized()
        self._gpus = torch.cuda.get_rng_state_all() if used else []

    def restore(self) -> None:
        """Let all generators go on from there."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._cpu)
        if self._gpus:
            torch.cuda.set_rng_state_all(self._gpus)

    def state_dict(self) -> dict:
        """The states as tensors, numbers and None alone, for checkpoints.

        Example:
            >>> before = RandomNumbers()
            >>> RandomNumbers.of(before.state_dict()) == before
            True
        """
        _, words, gauss = self._python
        return dict(
            python=torch.tensor(words),
            python_gauss=gauss,
            numpy=torch.from_numpy(
                self._numpy['state']['key'].astype(np.int64)),
            numpy_position=int(self._numpy['state']['pos']),
            numpy_gauss=float(self._numpy['gauss'])
            if self._numpy['has_gauss'] else None,
            cpu=self._cpu,
            gpus=self._gpus)

    @classmethod
    def of(cls, state: dict) -> 'RandomNumbers':
        """The random numbers that a :meth:`state_dict` is of.

        Args:
            state (dict): What :meth:`state_dict` gave, its tensors on any
                device.
        """
        numbers = cls()
        numbers._python = (numbers._python[0], tuple(state['python'].tolist()),
                           state['python_gauss'])
        gauss = state['numpy_gauss']
        numbers._numpy = dict(
            bit_generator='MT19937',
            state=dict(
                key=state['numpy'].cpu().numpy().astype(np.uint32),
                pos=state['numpy_position']),
            has_gauss=int(gauss is not None),
            gauss=gauss or 0.)
        numbers._cpu = state['cpu'].cpu()
        numbers._gpus = [x.cpu() for x in state['gpus']]
        return numbers

    @property
    def gpus(self) -> int:
        """Number of GPUs whose generators these are."""
        return len(self._gpus)

    @property
    def of_python(self) -> tuple:
        """Where Python's and NumPy's generators are: equal to that of others
        only if none was used in between. The second of a pair of normal
        numbers, which waits to be drawn, counts."""
        return self._python, pickle.dumps(self._numpy)

    def __getstate__(self) -> dict:
        """Arrays in place of tensors: pickled, they are smaller and faster."""
        return dict(
            vars(self), _cpu=self._cpu.numpy(),
            _gpus=[x.numpy() for x in self._gpus])

    def __setstate__(self, state: dict) -> None:
        """The reverse."""
        vars(self).update(
            state, _cpu=torch.from_numpy(state['_cpu'].copy()),
            _gpus=[torch.from_numpy(x.copy()) for x in state['_gpus']])

    def __eq__(self, other: 'RandomNumbers') -> bool:
        """Whether all draw the same numbers from there on."""
        return self._all() == other._all()

    def _all(self) -> tuple:
        return (*self.of_python,
                [x.numpy().tobytes() for x in (self._cpu, *self._gpus)])


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
    before = RandomNumbers()
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
        # torch.manual_seed would seed GPUs, now or once they are used.
        torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        before.restore()
