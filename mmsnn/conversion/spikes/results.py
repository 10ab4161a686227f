"""What leaves a converted model: plain tensors."""

from collections.abc import MutableMapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from .spike_tensor import SpikeTensor

#: What is not looked into.
_CLOSED = (torch.Tensor, nn.Module, type, FunctionType, MethodType, ModuleType,
           str, bytes, int, float, complex, bool, type(None))


def decode_results(x: Any) -> Any:
    """Values in the place of spikes, in whatever holds them.

    Tuples, lists and dictionaries that hold spikes are made anew. What is in
    the attributes of other objects, such as data samples, is changed there.

    Args:
        x: Results of a model.

    Returns:
        The same, with plain tensors only.

    Example:
        >>> spikes = SpikeTensor([torch.ones(2)], 1., 1, False)
        >>> decode_results(dict(out=(spikes, 3)))
        {'out': (tensor([1., 1.]), 3)}
    """
    return _decoded(x, {})


def _decoded(x: Any, known: dict[int, Any]) -> Any:
    """See :func:`decode_results`; ``known`` are objects that were met."""
    if isinstance(x, SpikeTensor):
        return x.decode()
    if isinstance(x, _CLOSED):
        return x
    if id(x) not in known:
        known[id(x)] = x  # it may hold itself
        if isinstance(x, (list, tuple)):
            known[id(x)] = _sequence(x, [_decoded(v, known) for v in x])
        elif isinstance(x, MutableMapping):
            known[id(x)] = _mapping(
                x, {k: _decoded(v, known) for k, v in x.items()})
        else:
            for name, value in list(getattr(x, '__dict__', {}).items()):
                new = _decoded(value, known)
                if new is not value:
                    vars(x)[name] = new  # of frozen dataclasses, too
    return known[id(x)]


def _sequence(x, values: list):
    if all(a is b for a, b in zip(x, values)):
        return x
    if hasattr(x, '_fields'):  # a named tuple
        return type(x)(*values)
    return type(x)(values)


def _mapping(x, values: dict):
    if all(values[k] is v for k, v in x.items()):
        return x
    new = x.copy() if hasattr(x, 'copy') else dict(x)
    new.update(values)
    return new
