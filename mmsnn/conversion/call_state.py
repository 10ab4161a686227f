"""Runs of a model that all start from the same state."""

from collections.abc import Callable
from typing import Any

from torch import nn

from mmsnn.conversion.counting.saved_state import SavedState
from mmsnn.conversion.upstream.random_numbers import RandomNumbers


class NotPutBack(ValueError):
    """A model holds or changes what can't be put back."""


class RunsOfOneCall:
    """Runs a model several times in place of once.

    Each run finds what the first has found: the random numbers that are drawn
    next, all Python state that the model can reach (counters, caches) and all
    tensors that it holds (running statistics). So noise is drawn once and is
    the same in each run, and what stays behind is the state after one call.

    Args:
        model (nn.Module): The model.
        closed (tuple[type]): Kinds of objects whose state goes on from run to
            run. Defaults to none.

    Attributes:
        state (SavedState): What each run finds, but for random numbers.

    Raises:
        NotPutBack: If the model holds what nobody can look into.

    Example:
        >>> import torch
        >>> def noisy(x):
        ...     return x + torch.rand(1)
        >>> runs = RunsOfOneCall(nn.Identity())
        >>> first = runs.run(lambda: noisy(1))
        >>> bool(runs.run(lambda: noisy(2)) == first + 1)
        True
    """

    def __init__(self, model: nn.Module,
                 closed: tuple[type, ...] = ()) -> None:
        self._name = type(model).__name__
        self._random = RandomNumbers()
        self.state = SavedState(model, closed, everything=True)
        self.state.save()
        self._drawn: tuple | None = None  # by the first run
        if not self.state.known:
            self._refuse(self.state.put_back())

    def run(self, call: Callable[[], Any]) -> Any:
        """Run the model once.

        Args:
            call (Callable): Runs it. If it raises, everything is as it was
                before the first run.

        Returns:
            What it returns.

        Raises:
            NotPutBack: If what an earlier run has changed can't be put back,
                or if this run has drawn more or fewer random numbers.
        """
        if self._drawn is not None:
            self.go_back()
        try:
            out = call()
        except BaseException:
            self._random.restore()
            self.state.put_back()
            raise
        drawn = RandomNumbers(), self.state.generators()
        if self._drawn not in (None, drawn):
            self._refuse('how many random numbers it draws depends on what '
                         'has arrived')
        self._drawn = drawn
        return out

    def go_back(self) -> None:
        """Make everything as it was before the first run.

        Raises:
            NotPutBack: If that can't be had.
        """
        self._random.restore()
        fault = self.state.put_back()
        if fault:
            self._refuse(fault)

    def _refuse(self, what: str) -> None:
        raise NotPutBack(
            f"{self._name}: form='free_running' needs a model of which each "
            f'sub-step starts from the same state, but {what}: use a lossless '
            'form')
