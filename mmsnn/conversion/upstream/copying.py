"""Copies of models that keep tensors of their last training step."""

import copy
import threading
from concurrent.futures import Executor
from traceback import walk_tb
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class _Detaching(TorchFunctionMode):
    """While it is entered, tensors with a history are copied without it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not torch.Tensor.__deepcopy__ or args[0].is_leaf:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        if id(tensor) not in memo:
            memo[id(tensor)] = func(tensor.detach(), memo)
        return memo[id(tensor)]


def detached_copy(model: Any, memo: dict[int, Any] | None = None) -> Any:
    """A deep copy of a model, whatever its modules remember.

    ``copy.deepcopy`` refuses tensors that are part of a graph. Heads such as
    CondInst's keep some from one call to the next, and so does a spectral
    norm. It refuses locks, too: the copy gets locks of its own.

    Args:
        model (nn.Module): The model, or nested arguments of its calls; left as
            it is.
        memo (dict[int, Any], optional): By the id of an object, what becomes
            of it. Defaults to None: all is copied.

    Returns:
        nn.Module: The copy. Parameters still take gradients, but for those of
        scripted modules; any other tensor that was computed from parameters
        is a plain one.

    Raises:
        TypeError: If the model holds what can't be copied, such as a
            generator; it names where.

    Example:
        >>> net = nn.Linear(2, 2)
        >>> net.last = net(torch.ones(2))
        >>> detached_copy(net).last.requires_grad
        False
        >>> net.kept = [i for i in range(3)], (i for i in range(3))
        >>> detached_copy(net)
        Traceback (most recent call last):
        TypeError: kept[1] of Linear is a generator, which can not be copied:
        ...
    """
    known = dict(memo or {})
    with torch.no_grad(), _Detaching():
        while True:
            try:
                return copy.deepcopy(model, dict(known))
            except TypeError as error:
                chain = _being_copied(error)
                if 'cannot pickle' not in str(error) or not chain:
                    raise
                for x in chain:
                    new = _another(x)
                    if new is not None and id(x) not in known:
                        known[id(x)] = new
                        break
                else:
                    raise TypeError(
                        f'{_path(chain)} of {type(model).__name__} is a '
                        f'{type(chain[-1]).__name__}, which can not be copied:'
                        ' make it in forward, or keep what can be copied '
                        '(a list, a path) in its place') from error


def _being_copied(error: BaseException) -> list:
    """What was copied when an error came, from the outermost object on."""
    return [frame.f_locals['x'] for frame, _ in walk_tb(error.__traceback__)
            if frame.f_code is copy.deepcopy.__code__]


def _another(x: Any) -> Any:
    """What stands in a copy for what takes no part in results and knows no
    copying; None for anything else."""
    if isinstance(x, (ModuleType, Executor)):
        return x
    if type(x) is threading.local:
        new = threading.local()
        vars(new).update(copy.deepcopy(vars(x)))  # those of this thread
        return new
    for make in (threading.Lock, threading.RLock):
        if type(x) is type(make()):
            return make()
    return None


def _path(chain: list) -> str:
    """Where the last of nested objects stands in the first."""
    path = ''
    for holder, x, inside in zip([None, *chain], chain, chain[1:]):
        if isinstance(x, dict):
            key = next((k for k, v in x.items() if v is inside), None)
            if key in ('_modules', '_parameters', '_buffers'):
                continue
            module = isinstance(holder, dict)  # its modules, or its items
            attribute = not isinstance(holder, (dict, list, tuple)) or (
                module and isinstance(inside, nn.Module))
            path += f'.{key}' if attribute else f'[{key!r}]'
        elif isinstance(x, (list, tuple)):
            number = next((i for i, v in enumerate(x) if v is inside), None)
            if number is not None and isinstance(holder, (dict, list, tuple)):
                path += f'[{number}]'
    return path.lstrip('.')
