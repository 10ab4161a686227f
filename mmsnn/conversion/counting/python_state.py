"""Whether a model's Python code finds everything as it was."""

import array
import collections
import contextvars
import functools
import logging
import operator
import pickle
import random
import re
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from mmengine.registry import Registry
from torch import nn
from torch.utils.hooks import RemovableHandle

from mmsnn.conversion.upstream.slots import slots_of

#: What never changes, or holds nothing that a model would look at.
_CLOSED = (bool, int, float, complex, str, bytes, type(None), type(...),
           BuiltinFunctionType, ModuleType, CodeType, range, torch.dtype,
           torch.device, torch.layout, torch.memory_format, torch.Size,
           re.Pattern, logging.Logger, logging.Handler, Registry, Executor)

#: Where no state of a model is kept, bar attributes of its objects.
_LIBRARIES = frozenset(
    (*sys.stdlib_module_names, 'numpy', 'torch', 'torchvision', 'mmcv',
     'mmengine', 'mmdet', 'mmseg', 'mmpretrain', 'mmsnn', 'scipy', 'cv2',
     'PIL', 'pycocotools'))

#: What every module has. Of that, a forward pass reads these containers,
#: which stay the same objects, and ``training``. What a fold hides is not
#: read, either.
_UNREAD = frozenset(vars(nn.Module())) - {'training'} | {'_unseen'}
_CONTAINERS = ('_parameters', '_buffers', '_modules')
_HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_forward_hooks_with_kwargs',
          '_forward_pre_hooks_with_kwargs', '_forward_hooks_always_called')

#: Reaching more objects than this, one does not go on looking.
MOST_OBJECTS = 100_000

#: Arrays of NumPy above this size are not compared.
MOST_BYTES = 2**20


class PythonState:
    """All Python state that a model can reach, as it was at one time.

    What Python code does follows from its arguments and from the state that
    it can reach: attributes of modules and of what these hold, of classes,
    variables of functions, and global variables that functions use. Values
    of tensors are left out (:class:`.value_reads.ValueReads` sees when they
    are read); their shapes and types are not. Code of libraries is taken to
    have no state. Clocks, files and the environment are not seen.

    Args:
        roots (Iterable): What the model consists of.
        closed (tuple[type]): Kinds of objects that are not looked into.

    Attributes:
        known (bool): Whether everything found could be looked into. A
            generator can't, and large arrays are not.

    Example:
        >>> layer = nn.Identity()
        >>> layer.calls = [0]
        >>> state = PythonState([layer])
        >>> state.is_same()
        True
        >>> layer.calls[0] += 1
        >>> state.is_same()
        False
    """

    def __init__(self, roots: Iterable[Any],
                 closed: tuple[type, ...] = ()) -> None:
        self.known = True
        self._closed = (*_CLOSED, *closed)
        self._seen: dict[int, Any] = {}  # alive, so that ids stay theirs
        # What changes, and what it was. All of it is looked at before each
        # call, by as few operations of Python as possible.
        self._empty: list = []
        self._no_hooks: list = []
        self._hooks_ever = RemovableHandle.next_id
        self._modules: dict[tuple, _Attributes] = {}  # by names
        self._held: list = []
        self._before: list = []
        self._read: list[tuple[Callable, Any, Any]] = []
        self._tensors: list[torch.Tensor] = []
        self._shapes: list[torch.Size] = []
        self._dtypes: list[torch.dtype] = []
        self._globals: list[tuple[dict, str, Any]] = []
        todo = list(roots)
        while todo and self.known:
            todo.extend(self._look_at(todo.pop()))
            self.known = self.known and len(self._seen) < MOST_OBJECTS

    def is_same(self) -> bool:
        """Whether everything is as it was when this was made."""
        try:
            return (self.known and not any(self._empty) and
                    self._has_its_hooks() and
                    all(x.are_same() for x in self._modules.values()) and
                    all(map(operator.eq, self._held, self._before)) and
                    all(read(x) == before for read, x, before in self._read)
                    and all(space.get(name, NOTHING) is value
                            for space, name, value in self._globals) and
                    [x.shape for x in self._tensors] == self._shapes and
                    [x.dtype for x in self._tensors] == self._dtypes)
        except (KeyError, RuntimeError, ValueError):
            return False  # other tensors or arrays: they are not one bool

    def _has_its_hooks(self) -> bool:
        """Whether no hook was added where none was."""
        if self._hooks_ever == RemovableHandle.next_id:
            return True
        if any(self._no_hooks):
            return False
        self._hooks_ever = RemovableHandle.next_id
        return True

    def _hold(self, x: Any, before: Any) -> Any:
        if before:
            self._held.append(x)
            self._before.append(before)
        else:
            self._empty.append(x)
        return before

    def _hold_by(self, read: Callable, x: Any) -> Any:
        before = read(x)
        self._read.append((read, x, before))
        return before

    def _look_at(self, x: Any) -> Iterable[Any]:
        """Watch an object; returns what it holds."""
        if isinstance(x, self._closed) or id(x) in self._seen:
            return ()
        self._seen[id(x)] = x
        if isinstance(x, torch.Tensor):
            self._tensors.append(x)
            self._shapes.append(x.shape)
            self._dtypes.append(x.dtype)
            return ()
        if isinstance(x, (tuple, frozenset)):
            return x
        if isinstance(x, dict):
            return [*self._hold(x, x.copy()).values(), *_attributes(x)]
        if isinstance(x, (list, set, collections.deque)):
            return [*self._hold(x, x.copy()), *_attributes(x)]
        if isinstance(x, FunctionType):
            return self._look_at_function(x)
        if isinstance(x, MethodType):
            return x.__func__, x.__self__
        if isinstance(x, functools.partial):
            return x.func, x.args, x.keywords
        if isinstance(x, CellType):
            return self._hold_by(_contents, x)
        if isinstance(x, contextvars.ContextVar):
            return self._hold_by(_value_here, x)
        if isinstance(x, (staticmethod, classmethod)):
            return (x.__func__, )
        if isinstance(x, property):
            return x.fget, x.fset
        if isinstance(x, type):
            if of_library(x):
                return ()
            inside = self._hold(x.__dict__, dict(x.__dict__))
            return [*inside.values(), *x.__bases__]
        return self._look_at_object(x)

    def _look_at_function(self, x: FunctionType) -> Iterable[Any]:
        inside = list(vars(x).values())  # what it wraps
        if of_library(x):
            return inside
        self._hold(vars(x), dict(vars(x)))
        inside += [*(x.__closure__ or ()), x.__defaults__, x.__kwdefaults__]
        for name in _names(x.__code__):
            if name in x.__globals__:
                value = x.__globals__[name]
                self._globals.append((x.__globals__, name, value))
                inside.append(value)
        return inside

    def _look_at_object(self, x: Any) -> Iterable[Any]:
        inside = [type(x)]
        if isinstance(x, nn.Module):
            inside += self._look_at_module(vars(x))
        elif hasattr(x, '__dict__'):
            inside += self._hold(vars(x), vars(x).copy()).values()
        if isinstance(x, GeneratorType) or isinstance(
                x, np.ndarray) and x.nbytes > MOST_BYTES:
            self.known = False
        elif _has_hidden_state(x):
            try:
                self._hold_by(pickle.dumps, x)
            except Exception:  # whatever its own code raises
                self.known = False
        if not of_library(type(x)):
            slots = slots_of(type(x))
            if slots:
                inside += self._hold_by(
                    lambda x: [getattr(x, n, NOTHING) for n in slots], x)
        return inside

    def _look_at_module(self, held: dict) -> Iterable[Any]:
        """Watch the attributes of a module."""
        names = tuple(k for k in held if k not in _UNREAD)
        if names not in self._modules:
            self._modules[names] = _Attributes(names)
        self._modules[names].add(held)
        inside = [held[k] for k in (*names, *_CONTAINERS)]
        for hooks in (held[k] for k in _HOOKS):
            (inside if hooks else self._no_hooks).append(hooks)
        return inside


class _Attributes:
    """Attributes of modules that have the same ones.

    Args:
        names (tuple[str]): Those that are compared, ``training`` among them.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._get = operator.itemgetter(*names)
        self._modules: list[dict] = []
        self._numbers: list[int] = []
        self._before: list = []

    def add(self, held: dict) -> None:
        """Add a module.

        Args:
            held (dict): All that it has.
        """
        self._modules.append(held)
        self._numbers.append(len(held))
        self._before.append(self._get(held))

    def are_same(self) -> bool:
        """Whether the modules have what they had."""
        return (list(map(len, self._modules)) == self._numbers and
                list(map(self._get, self._modules)) == self._before)

    def take_changes(self, new: list, old: list) -> bool:
        """Take what the modules have now for what they had.

        Args:
            new (list): Gets attributes that have changed.
            old (list): Gets what these were.

        Returns:
            bool: False if a module has more or fewer attributes.
        """
        if list(map(len, self._modules)) != self._numbers:
            return False
        one = len(self._names) == 1
        for i, (held, before) in enumerate(zip(self._modules, self._before)):
            try:
                now = self._get(held)
            except KeyError:
                return False
            changed = [(a, b) for a, b in zip(
                (now, ) if one else now, (before, ) if one else before)
                if a is not b]
            if changed:
                self._before[i] = now
                new += [a for a, _ in changed]
                old += [b for _, b in changed]
        return True

    def put_back(self) -> None:
        """Give the modules what they had."""
        for held, before in zip(self._modules, self._before):
            for name in [k for k in held
                         if k not in self._names and k not in _UNREAD]:
                del held[name]
            if len(self._names) == 1:
                before = before,
            held.update(zip(self._names, before))


#: Where there is no value.
NOTHING = object()


def _attributes(x: Any) -> list:
    return list(getattr(x, '__dict__', {}).values())


def _contents(cell: CellType) -> tuple:
    """What a variable of a function holds; in a tuple, whose items are equal
    if they are the same tensor."""
    try:
        return (cell.cell_contents, )
    except ValueError:
        return ()


def _value_here(variable: contextvars.ContextVar) -> tuple:
    """What a variable of a context holds in this one, as of a cell."""
    try:
        return (variable.get(), )
    except LookupError:
        return ()


def _names(code: CodeType) -> set[str]:
    """Names that a function looks up, and functions inside it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


def of_library(x: Any) -> bool:
    """Whether a class or function is taken to keep no state of a model.

    Args:
        x (Any): The class or function.
    """
    module = getattr(x, '__module__', None) or 'builtins'
    return module.partition('.')[0] in _LIBRARIES


def _has_hidden_state(x: Any) -> bool:
    """Whether an object may change though its attributes don't."""
    return isinstance(
        x, (bytearray, array.array, random.Random, np.ndarray,
            np.random.Generator, np.random.RandomState,
            np.random.BitGenerator)) or (
                hasattr(x, '__next__'))
