"""Runs of a model that all start from the same state."""

import pickle
import random
from array import array
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import CellType, MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from mmsnn.conversion.counting.python_state import (
    NOTHING,
    PythonState,
    of_library,
    slots_of,
)
from mmsnn.conversion.rules.rule import UnclassifiedOpError
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

    Raises:
        NotPutBack: If the model holds what nobody can look into.

    Example:
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
        self._state = _State([model], closed)
        self._drawn: tuple | None = None  # by the first run
        if not self._state.known:
            self._refuse('this one holds something that can not be looked '
                         'into, such as a generator')

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
            self._state.put_back()
            raise
        drawn = RandomNumbers(), self._state.generators()
        if self._drawn not in (None, drawn):
            self._refuse('how many random numbers this one draws depends on '
                         'what has arrived')
        self._drawn = drawn
        return out

    def go_back(self) -> None:
        """Make everything as it was before the first run.

        Raises:
            NotPutBack: If that can't be had.
        """
        self._random.restore()
        self._state.put_back()
        if not self._state.is_same():
            self._refuse('this one leaves something behind that can not be '
                         'put back, such as a hook that it registers or an '
                         'iterator that it advances')

    def _refuse(self, what: str) -> None:
        raise NotPutBack(
            f"{self._name}: form='free_running' needs a model of which each "
            f'sub-step starts from the same state, but {what}: use a lossless '
            'form')


class _State(PythonState):
    """Python state that can be put back, and tensors with it."""

    def __init__(self, roots: Iterable[Any],
                 closed: tuple[type, ...]) -> None:
        self._classes: list[tuple[type, dict]] = []
        self._arrays: list[tuple[np.ndarray, np.ndarray]] = []
        self._generators: list[tuple[torch.Generator, torch.Tensor]] = []
        super().__init__(roots, closed)
        self._aliases: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._memory: dict[int, tuple] = {}  # by address
        self._versions: list[tuple[torch.Tensor, int]] = []
        with _disable_current_modes(), torch.no_grad():
            for x in self._tensors:
                self._keep(x)

    def _keep(self, x: torch.Tensor) -> None:
        try:
            memory = x.untyped_storage()
            place = memory.data_ptr()
        except (NotImplementedError, RuntimeError, UnclassifiedOpError):
            self._versions.append((x, x._version))  # such as a sparse one
            return
        self._aliases.append((x, x.detach()))
        if place and place not in self._memory:
            self._memory[place] = memory, memory.clone()

    def is_same(self) -> bool:
        """Whether everything is as it was, but for values of tensors that
        can be put back."""
        return super().is_same() and all(
            x._version == version for x, version in self._versions)

    def _look_at_object(self, x: Any) -> Iterable[Any]:
        if isinstance(x, torch.Generator):
            self._generators.append((x, x.get_state()))
            return ()
        if isinstance(x, np.ndarray):
            self._arrays.append((x, x.copy()))
            return x.ravel().tolist() if x.dtype == object else ()
        return super()._look_at_object(x)

    def _look_at(self, x: Any) -> Iterable[Any]:
        if (isinstance(x, type) and id(x) not in self._seen
                and not of_library(x)):
            self._classes.append((x, dict(x.__dict__)))
        return super()._look_at(x)

    def generators(self) -> list:
        """Where generators are that the model holds itself."""
        return [x.get_state().numpy().tobytes() for x, _ in self._generators
                ] + [read(x) for read, x, _ in self._read if _draws(x)]

    def put_back(self) -> None:
        """Make everything what it was, as far as that can be done."""
        for x in self._empty:
            x.clear()
        for x, before in zip(self._held, self._before):
            if not isinstance(x, MappingProxyType):
                _refill(x, before)
        for kind, before in self._classes:
            for name in kind.__dict__.keys() - before.keys():
                delattr(kind, name)
            for name, value in before.items():
                if kind.__dict__.get(name, NOTHING) is not value:
                    setattr(kind, name, value)
        for attributes in self._modules.values():
            attributes.put_back()
        for space, name, value in self._globals:
            if space.get(name, NOTHING) is not value:
                space[name] = value
        for _, x, before in self._read:
            _rewind(x, before)
        for x, state in self._generators:
            x.set_state(state)
        for x, before in self._arrays:
            if x.flags.writeable:
                x[...] = before
        with _disable_current_modes(), torch.no_grad():
            for memory, before in self._memory.values():
                if memory.nbytes() != before.nbytes():
                    memory.resize_(before.nbytes())
                memory.copy_(before)
            for x, alias in self._aliases:
                if not _is_alias(x, alias):
                    x.data = alias


def _refill(x: Any, before: Any) -> None:
    """Put back what a list, a dictionary, a set or a deque has held."""
    if len(x) == len(before):
        if isinstance(x, dict):
            if all(x.get(k, NOTHING) is v for k, v in before.items()):
                return
        elif isinstance(x, set):
            if x == before:
                return
        elif all(a is b for a, b in zip(x, before)):
            return
    x.clear()
    x.extend(before) if hasattr(x, 'extend') else x.update(before)


def _rewind(x: Any, before: Any) -> None:
    """Put back what was read of an object."""
    if isinstance(x, CellType):
        if before:
            x.cell_contents, = before
    elif isinstance(x, ContextVar):
        if before:
            x.set(*before)
    elif isinstance(x, (bytearray, array)):
        x[:] = pickle.loads(before)
    elif isinstance(before, list):
        for name, value in zip(slots_of(type(x)), before):
            if getattr(x, name, NOTHING) is not value is not NOTHING:
                setattr(x, name, value)
    elif _draws(x):
        copy = pickle.loads(before)
        if isinstance(x, random.Random):
            x.setstate(copy.getstate())
        elif isinstance(x, np.random.RandomState):
            x.set_state(copy.get_state())
        elif isinstance(x, np.random.Generator):
            x.bit_generator.state = copy.bit_generator.state
        else:
            x.state = copy.state


def _draws(x: Any) -> bool:
    return isinstance(x, (random.Random, np.random.RandomState,
                          np.random.Generator, np.random.BitGenerator))


def _is_alias(x: torch.Tensor, alias: torch.Tensor) -> bool:
    """Whether a tensor still looks at the same memory in the same way."""
    return x.data_ptr() == alias.data_ptr() and all(
        getattr(x, what)() == getattr(alias, what)()
        for what in ('size', 'stride', 'storage_offset')
    ) and x.dtype == alias.dtype
