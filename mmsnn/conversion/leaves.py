"""What a call of a model has returned, taken apart into leaves.

Leaves are tensors, which can be compared with a tolerance, and everything
else, which has to be equal. What has no values that can be looked at (an
iterator, a function, a module) is a leaf of its own kind. Leaves are taken
before the next call, which may write into the same objects.
"""

import logging
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from mmsnn.conversion.spikes.spike_tensor import decode
from mmsnn.conversion.upstream.slots import slots_of

#: Kinds that are equal if ``==`` says so.
_VALUES = (bool, int, str, bytes, bytearray, type, type(None), Enum, slice,
           range, type(Ellipsis), type(NotImplemented), np.dtype, torch.dtype,
           torch.device, torch.layout, torch.memory_format)
#: Kinds whose values can't be looked at. So is all that can be called.
_OPAQUE = (Iterator, nn.Module, types.ModuleType, logging.Logger)
#: Containers in containers, at most.
_DEEPEST = 200


class Leaf(NamedTuple):
    """A part of results that is compared as a whole.

    Attributes:
        path (str): Where it lies, such as ``results[0].scores``.
        kind (Any): What must be equal: its type, the keys of a container.
        tensor (Tensor, optional): Values that are compared with a tolerance.
        version (int, optional): Of the tensor, which counts what is written
            into it.
        opaque (str): The type of what can't be compared, or empty.
    """

    path: str
    kind: Any
    tensor: torch.Tensor | None = None
    version: int | None = None
    opaque: str = ''


def leaves(results: Any) -> list[Leaf]:
    """Take results apart.

    Args:
        results: What a model has returned: tensors, arrays, numbers and
            strings in any containers and objects.

    Returns:
        list[Leaf]: In an order that depends on the structure alone.

    Example:
        >>> for leaf in leaves((None, dict(x=torch.ones(1), f=print)))[-2:]:
        ...     print(leaf.path, leaf.opaque or 'is compared')
        results[1]['f'] builtin_function_or_method
        results[1]['x'] is compared
    """
    return list(_walk(results, 'results', ()))


def _walk(x: Any, path: str, above: tuple[int, ...]) -> Iterator[Leaf]:
    x = decode(x)
    if id(x) in above:
        yield Leaf(path, ('cycle', above.index(id(x))))
    elif len(above) > _DEEPEST:
        yield Leaf(path, 'deep', opaque='nested too deeply')
    elif isinstance(x, torch.Tensor):
        yield from _tensor(x, path, (*above, id(x)))
    elif isinstance(x, (np.ndarray, np.generic)):
        yield from _array(x, path, (*above, id(x)))
    elif isinstance(x, _VALUES):
        yield Leaf(path, (type(x), x))
    elif isinstance(x, (float, complex)):
        yield from _tensor(torch.tensor(
            x, dtype=torch.complex128 if isinstance(x, complex) else
            torch.float64), path, (), type(x))
    elif isinstance(x, _OPAQUE) or callable(x):
        yield Leaf(path, type(x), opaque=type(x).__name__)
    else:
        yield from _container(x, path, (*above, id(x)))


def _container(x: Any, path: str, above: tuple[int, ...]) -> Iterator[Leaf]:
    if isinstance(x, Mapping):
        keys = sorted(x.keys(), key=lambda k: (type(k).__name__, repr(k)))
        yield Leaf(path, type(x))
        for key in keys:
            plain = isinstance(key, float) or _is_value(key)
            yield Leaf(path, ('key', key) if plain else 'key',
                       opaque='' if plain else f'key of {type(key).__name__}')
        yield from _parts(x, keys, path, above, '[{!r}]')
    elif isinstance(x, Set):
        yield from _set(x, path)
    elif isinstance(x, memoryview) or hasattr(x, '__array_interface__'):
        yield Leaf(path, type(x))
        yield from _walk(np.asarray(x), path, above)
    elif isinstance(x, Sequence) or hasattr(x, 'popleft'):
        yield from _sequence(x, path, above)
    else:
        yield from _object(x, path, above)
        return
    yield from _attributes(x, path, above)


def _parts(x, keys: Iterable, path: str, above: tuple[int, ...],
           name: str) -> Iterator[Leaf]:
    for key in keys:
        yield from _walk(x[key], path + name.format(key), above)


def _sequence(x: Sequence, path: str,
              above: tuple[int, ...]) -> Iterator[Leaf]:
    kinds = set(map(type, x))
    if kinds in ({int}, {str}):
        yield Leaf(path, (type(x), getattr(x, '_fields', None), tuple(x)))
        return
    if float in kinds and kinds <= {float, int}:
        # A list of numbers is a vector: they have one scale.
        yield Leaf(path, (type(x), len(x)))
        yield from _tensor(torch.tensor(list(x), dtype=torch.float64), path,
                           ())
        return
    names = getattr(x, '_fields', None)
    yield Leaf(path, (type(x), len(x), names))
    for i, value in enumerate(x):
        part = f'.{names[i]}' if names else f'[{i}]'
        yield from _walk(value, path + part, above)


def _is_value(x: Any) -> bool:
    if isinstance(x, (tuple, frozenset)):
        return all(map(_is_value, x))
    return isinstance(x, _VALUES)


def _set(x: Set, path: str) -> Iterator[Leaf]:
    if all(map(_is_value, x)):
        yield Leaf(path, (type(x), set(x)))
    elif all(isinstance(value, (int, float)) for value in x):
        yield Leaf(path, (type(x), len(x)))
        yield from _tensor(
            torch.tensor(sorted(x), dtype=torch.float64), path, ())
    else:
        yield Leaf(path, type(x), opaque=f'{type(x).__name__} of objects')


def _attributes(x: Any, path: str,
                above: tuple[int, ...]) -> Iterator[Leaf]:
    """Of an object: what it keeps in ``__dict__`` and in slots."""
    found = dict(getattr(x, '__dict__', {}))
    found |= {name: getattr(x, name) for name in slots_of(type(x))
              if hasattr(x, name)}
    names = sorted(found)
    if names:
        yield Leaf(path, names)
        yield from _parts(found, names, path, above, '.{}')


def _object(x: Any, path: str, above: tuple[int, ...]) -> Iterator[Leaf]:
    """Of any object: its attributes, and what Python would copy of it."""
    kind = type(x)
    own = [
        name for name in ('__reduce_ex__', '__reduce__', '__getstate__')
        if getattr(kind, name, None) is not getattr(object, name, None)
    ]
    try:
        # Raises where an object has something that Python can't see.
        state = x.__reduce_ex__(4) if own else object.__reduce_ex__(x, 2)
    except Exception:
        yield Leaf(path, kind, opaque=kind.__name__)
        return
    if kind is object:
        yield Leaf(path, kind, opaque='object')
        return
    yield Leaf(path, kind)
    if own and isinstance(state, str):
        yield Leaf(path, state)
    elif own:
        make, arguments, *rest = state
        yield Leaf(path, ('made by', make))
        rest = [list(r) if isinstance(r, Iterator) else r for r in rest]
        yield from _walk([*arguments, *rest], path, above)
    yield from _attributes(x, path, above)


def _tensor(x: torch.Tensor, path: str, above: tuple[int, ...],
            kind: type = torch.Tensor) -> Iterator[Leaf]:
    if type(x) not in (torch.Tensor, nn.Parameter):
        kind = type(x)
    parts = _plain_parts(x if x.is_inference() else x.detach())
    if parts is None:
        yield Leaf(path, kind, opaque=f'{kind.__name__} without values')
        return
    for part in parts:
        version = None
        if part.is_inference():
            part = part.clone()  # it does not tell what is written into it
        else:
            version = part._version
        yield Leaf(path, (kind, part.dtype, tuple(part.shape)), part, version)
    if above and not x.is_nested:  # which keeps sizes there
        yield from _attributes(x, path, above)


def _plain_parts(x: torch.Tensor) -> list[torch.Tensor] | None:
    """Real, dense tensors that hold all of a tensor's values; None if it has
    no values."""
    if x.is_meta or torch._C._functorch.is_functorch_wrapped_tensor(x):
        return None
    if x.is_nested:
        return [part for y in x.unbind() for part in _plain_parts(y)]
    if x.layout is torch.sparse_coo:
        x = x.coalesce()
        return [x.indices(), *_plain_parts(x.values()), _shape(x)]
    if x.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [x.crow_indices(), x.col_indices(),
                *_plain_parts(x.values()), _shape(x)]
    if x.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [x.ccol_indices(), x.row_indices(),
                *_plain_parts(x.values()), _shape(x)]
    if x.is_mkldnn:
        return [x.to_dense()]
    if x.is_quantized:
        if x.qscheme() in (torch.per_tensor_affine,
                           torch.per_tensor_symmetric):
            how = [torch.tensor([x.q_scale(), x.q_zero_point()])]
        else:
            how = [x.q_per_channel_scales(), x.q_per_channel_zero_points()]
        return [x.int_repr(), *how]
    if x.is_complex():
        return [torch.view_as_real(x.resolve_conj())]
    return [x.resolve_neg()]


def _shape(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(x.shape)


def _array(x, path: str, above: tuple[int, ...]) -> Iterator[Leaf]:
    kind = type(x)
    if isinstance(x, np.ma.MaskedArray):
        yield from _walk(dict(data=x.data, mask=x.mask), path, above)
        return
    x = np.asarray(x)
    if x.dtype.names:
        yield Leaf(path, (kind, x.dtype, x.shape))
        yield from _parts(x, x.dtype.names, path, above, '[{!r}]')
    elif x.dtype.kind in 'OUSV':
        yield Leaf(path, (kind, x.dtype, x.shape))
        yield from _walk(x.tolist(), path, above)
    elif x.dtype.kind in 'mM':
        yield Leaf(path, (kind, x.dtype))
        yield from _array(x.view(np.int64), path, above)
    else:
        try:
            tensor = torch.from_numpy(np.array(x, copy=True, order='C'))
        except TypeError:
            yield Leaf(path, kind, opaque=f'{kind.__name__} of {x.dtype}')
        else:
            yield from _tensor(tensor, path, (), kind)
