"""State of a model that can be put back."""

import pickle
import random
from array import array
from collections.abc import Iterable
from contextvars import ContextVar
from operator import attrgetter
from types import CellType, FunctionType, MappingProxyType
from typing import Any
from weakref import ref

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.conversion.unnormalised import Unnormalised
from mmsnn.conversion.upstream.slots import slots_of

from .python_state import NOTHING, PythonState, of_library
from .tensor_sources import held_tensors

#: Bytes of a tensor that is copied before each call, written or not.
_SMALL = 2**12
_VERSION = attrgetter('_version')


class SavedState(PythonState):
    """Python state that can be put back, and tensors with it.

    What is there when :meth:`save` is called is what :meth:`put_back` gives
    back. To save once more takes little where little has changed.

    Args:
        model (nn.Module): The model.
        closed (tuple[type]): Kinds of objects that are not looked into.
        everything (bool): Whether values of all tensors are saved. Defaults
            to False: those of parameters are not, nor those of large tensors
            that were not written into since they were saved before. That
            these are as they were can be told all the same.

    Example:
        >>> net = nn.BatchNorm1d(1)
        >>> state = SavedState(net)
        >>> state.save()
        >>> net.calls = 1
        >>> _ = net.running_mean.add_(1)
        >>> state.put_back(), hasattr(net, 'calls'), net.running_mean
        ('', False, tensor([0.]))
        >>> _ = net.weight.data.add_(1), net.weight.detach().add_(1)
        >>> state.put_back()
        'it writes into weight'
    """

    def __init__(self, model: nn.Module, closed: tuple[type, ...] = (),
                 everything: bool = False) -> None:
        self._model = model
        self._kinds = closed
        self._everything = everything
        self._versions: dict[int, int] = {}  # by the id of a tensor
        self._places: dict[int, int] = {}
        self._aliases: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._memory: dict[int, tuple] = {}  # by address
        self._look_anew()

    def _look_anew(self) -> None:
        self._classes: list[tuple[type, dict]] = []
        self._arrays: list[tuple[np.ndarray, np.ndarray]] = []
        self._generators: list[tuple[torch.Generator, torch.Tensor]] = []
        self._late: list[ref] = []  # tensors that the model holds since then
        super().__init__([self._model], self._kinds)

    def save(self, same: bool = False) -> None:
        """Take what is there now for what is to be put back.

        Args:
            same (bool): Whether :meth:`is_same` is known to hold. Defaults to
                False.
        """
        if not self.known:
            return
        if not same:
            self.take_changes()
        self._generators = [(x, x.get_state()) for x, _ in self._generators]
        for x, before in self._arrays:
            before[...] = x
        with _disable_current_modes(), torch.no_grad():
            self._save_tensors()

    def _save_tensors(self) -> None:
        before, self._versions = self._versions, {}
        self._places, self._aliases, self._memory = {}, [], {}
        for x in self._all_tensors():
            if x.is_inference():
                continue  # a call can't write into it
            number, version = id(x), x._version
            self._versions[number] = version
            if isinstance(x, (SpikeTensor, Unnormalised)):
                continue
            try:
                place = self._places[number] = x.data_ptr()
            except RuntimeError:
                continue  # such as a sparse one
            if not self._everything and (isinstance(x, nn.Parameter) or (
                    before.get(number) == version and x.nbytes > _SMALL)):
                continue
            self._aliases.append((x, x.detach()))
            memory = x.untyped_storage()
            if place and memory.data_ptr() not in self._memory:
                self._memory[memory.data_ptr()] = memory, memory.clone()

    def _all_tensors(self) -> list[torch.Tensor]:
        late = [(x, r) for r in self._late if (x := r()) is not None]
        self._late = [r for _, r in late]
        return self._tensors + [x for x, _ in late]

    def take_changes(self) -> bool:
        """Take what has changed for what it was.

        Returns:
            bool: Whether more has changed than which tensors are held.
        """
        if not self.known:
            return True
        if self.is_same():
            return False
        new: list = []
        if self._take_them(new):
            return not all(isinstance(x, torch.Tensor) for x in new)
        self._look_anew()
        return True

    def _take_them(self, new: list) -> bool:
        """See :meth:`take_changes`; returns False if all has to be looked at
        anew, else what things are now is in ``new``."""
        old: list = []
        for x in [*self._empty, *self._no_hooks]:
            if x:
                self._held.append(x)
                self._before.append(x.copy())
                new += _inside(x)
        self._empty = [x for x in self._empty if not x]
        self._no_hooks = [x for x in self._no_hooks if not x]
        for attributes in self._modules.values():
            if not attributes.take_changes(new, old):
                return False
        for i, (x, before) in enumerate(zip(self._held, self._before)):
            if not _equal(x, before):
                self._before[i] = x.copy()
                new += _inside(x)
                old += _inside(before)
        for i, (read, x, before) in enumerate(self._read):
            now = read(x)
            if not _equal(now, before):
                self._read[i] = read, x, now
                if not isinstance(now, bytes):
                    new += now
                    old += before
        for i, (space, name, value) in enumerate(self._globals):
            if space.get(name, NOTHING) is not value:
                if name not in space:
                    return False
                self._globals[i] = space, name, space[name]
                new.append(space[name])
                old.append(value)
        for x in old:
            if isinstance(x, torch.Tensor) and id(x) in self._seen:
                del self._seen[id(x)]
                self._tensors = [y for y in self._tensors if y is not x]
                self._late.append(ref(x))  # it may be held elsewhere
        if not all(map(self._is_known, new)):
            return False
        self._classes = [(x, dict(x.__dict__)) for x, _ in self._classes]
        self._shapes = [x.shape for x in self._tensors]
        self._dtypes = [x.dtype for x in self._tensors]
        return True

    def _is_known(self, x: Any) -> bool:
        """Whether nothing is left to be looked at in an object."""
        if isinstance(x, torch.Tensor):
            if id(x) not in self._seen:
                self._late.append(ref(x))
            return True
        if id(x) in self._seen or isinstance(x, self._closed):
            return True
        return isinstance(x, FunctionType) and of_library(x) and not vars(x)

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

    def put_back(self) -> str:
        """Make everything what it was, as far as that can be done.

        Returns:
            str: What the model does that can't be put back; empty if all is
            as it was.
        """
        if not self.known:
            return ('it holds something that can not be looked into, such as '
                    'a generator')
        self._put_python_back()
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
            written = self._written()
        if written:
            return f'it writes into {written}'
        if not self.is_same():
            return ('it leaves something behind that can not be put back, '
                    'such as an iterator that it advances')
        return ''

    def _written(self) -> str:
        """Name of a tensor that is not what it was; empty if none is."""
        saved = {id(x) for x, _ in self._aliases}
        for x in self._all_tensors():
            number = id(x)
            if number not in self._versions or number in saved:
                continue
            place = self._places.get(number)
            if x._version != self._versions[number] or (
                    place is not None and x.data_ptr() != place):
                return next((path for path, y in held_tensors(self._model)
                             if y is x), 'a tensor that it holds')
        return ''

    def _put_python_back(self) -> None:
        for x in (*self._empty, *self._no_hooks):
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


def _inside(x: Any) -> list:
    return list(x.values() if hasattr(x, 'values') else x)


def _equal(x: Any, before: Any) -> bool:
    try:
        return bool(x == before)
    except (RuntimeError, ValueError):
        return False  # other tensors or arrays: they are not one bool


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
