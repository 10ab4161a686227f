"""How many images a call of a model is about: told, or asked for."""

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from mmsnn.conversion.spikes.forms import SpikingForm
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.conversion.upstream.double import in_its_precision
from mmsnn.conversion.upstream.unbatched import without_batch_axis

from .call_state import NotPutBack, RunsOfOneCall
from .counting.module_path import ModulePath
from .counting.session import Session


def check_told(batch: Any, input_over_time: Any) -> None:
    """Check what a user says of the images and of time.

    Args:
        batch: Name of the argument that holds the images, their number in
            each call, or None.
        input_over_time: True, False or None.

    Raises:
        TypeError: If one of them is of another kind.
        ValueError: If the number is below 1.
    """
    if isinstance(batch, bool) or not isinstance(
            batch, (str, int, type(None))):
        raise TypeError('batch must be the name of the argument that holds '
                        "the images, such as 'inputs', or their number in "
                        f'each call, but is {batch!r}')
    if isinstance(batch, int) and batch < 1:
        raise ValueError('batch must be the name of an argument, or 1 or more '
                         f'images in each call, but is {batch}')
    if not isinstance(input_over_time, (bool, type(None))):
        raise TypeError('input_over_time must be True (the input has time '
                        'steps of its own), False (a still image is shown T '
                        f'times) or None, but is {input_over_time!r}')


class Batch:
    """The images among the arguments of a call.

    They are told by the first of these that there is:

    1. ``named``: an argument, or their number,
    2. lists of data samples, with one for each image,
    3. the argument ``inputs`` of a model with a data preprocessor,
    4. tensors, whose first dimension is the images in all of them. Single
       numbers don't count. In a list or tuple they do where they have four
       dimensions or more, as feature maps have; shorter ones could be a list
       with an image each,
    5. where that leaves several numbers, the rows of the first neuron, which
       are images: one of those numbers, and the length of a list if there
       is one of short tensors.

    Args:
        model (nn.Module): What is called.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
        named (str | int, optional): The argument that holds the images: a
            tensor with a row for each, or a list with an entry for each. What
            is inside others is named with dots, ``'feats.0'``. Or N, the
            images of each call.

    Attributes:
        images (int): N.
        told (bool): Whether that is said by ``named``, data samples or a data
            preprocessor, not by first dimensions.
        image_shape (tuple[int]): Shape of an image as the model gets it: of
            the tensor with most dimensions that has a row for each.

    Raises:
        ValueError: If it can't be told, or nothing has that name.

    Example:
        >>> model, x = nn.Bilinear(4, 3, 1), torch.zeros(2, 3)
        >>> batch = Batch(model, (torch.zeros(77, 4), x), {}, named='input2')
        >>> batch.images, batch.image_shape
        (2, (3,))
        >>> Batch(model, (torch.zeros(2, 4), x), {}).images
        2
        >>> one = Batch(model, (torch.zeros(4), torch.zeros(3)), {}, named=1)
        >>> one.images, one.image_shape
        (1, (4,))
    """

    def __init__(self, model: nn.Module, args: tuple, kwargs: dict,
                 named: str | int | None = None) -> None:
        given = _named_arguments(model.forward, args, kwargs)
        self.told = True
        rows = [(name, x) for name, x in _leaves(given, '')
                if isinstance(x, torch.Tensor) and x.dim()]
        samples = {name: len(x) for name, x in _sample_lists(given, '')}
        if isinstance(named, int):
            self.images = _as_said(named, rows)
        elif named is not None:
            self.images, rows = _look_up(given, named)
        elif samples:
            if len(set(samples.values())) > 1:
                raise ValueError(_unknown(
                    {k: f'{n} data samples' for k, n in samples.items()}))
            self.images = next(iter(samples.values()))
        elif hasattr(model, 'data_preprocessor') and isinstance(
                given.get('inputs'), (torch.Tensor, list, tuple)):
            self.images, rows = _look_up(given, 'inputs')
        else:
            self.told = False
            self.images = _by_first_dimension(
                rows, given, lambda: _neuron_rows(model, args, kwargs),
                vectors=isinstance(model, SpikingForm))  # neurons have rows
        batches = [x.shape[1:] for _, x in rows if len(x) == self.images]
        lists = [x.shape for name, x in rows if (named or x.dim() < 4)
                 and len(_list_with(given, name)) == self.images]
        others = [x.shape if named == 1 else _without_axis(x.shape,
                                                           self.images)
                  for _, x in rows]
        self.image_shape = tuple(
            max(lists or batches or others, key=len, default=()))


def _named_arguments(forward, args, kwargs) -> dict[str, Any]:
    """What is given to a function, under the names of its parameters."""
    try:
        bound = signature(forward).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the call will say what is wrong
        return {**{str(i): x for i, x in enumerate(args)}, **kwargs}
    named = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is kind.VAR_KEYWORD:
            named.update(value)
        elif kind is kind.VAR_POSITIONAL:
            named.update({f'{name}.{i}': x for i, x in enumerate(value)})
        else:
            named[name] = value
    return named


def _children(x: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(x, dict):
        yield from ((str(k), v) for k, v in x.items())
    elif isinstance(x, (list, tuple)):
        yield from ((str(i), v) for i, v in enumerate(x))


def _leaves(x: Any, name: str) -> Iterator[tuple[str, Any]]:
    """All that is in nested arguments, under its name."""
    inside = False
    for key, value in _children(x):
        inside = True
        yield from _leaves(value, f'{name}.{key}' if name else key)
    if not inside:
        yield name, _shaped(x)


def _shaped(x: Any) -> Any:
    """What counts of an array is its shape."""
    return torch.empty(x.shape, device='meta') if isinstance(
        x, np.ndarray) else x


def _sample_lists(x: Any, name: str) -> Iterator[tuple[str, list]]:
    if isinstance(x, (list, tuple)) and x and all(
            isinstance(v, BaseDataElement) for v in x):
        yield name, x
        return
    for key, value in _children(x):
        yield from _sample_lists(value, f'{name}.{key}' if name else key)


def _look_up(given: dict, named: str) -> tuple[int, list]:
    """Images of the named argument, and its tensors under their names."""
    found = _shaped(_look_into(given, named))
    if isinstance(found, torch.Tensor) and found.dim():
        return found.shape[0], [(named, found)]
    if isinstance(found, (list, tuple)):
        return len(found), [
            (f'{named}.{i}', x) for i, x in enumerate(map(_shaped, found))
            if isinstance(x, torch.Tensor)]
    if found is None:
        raise ValueError(f'batch={named!r} names no argument of this call: '
                         f'it has {", ".join(given) or "none"}')
    raise ValueError(
        f'batch={named!r} must name a tensor with a row for each image or a '
        f'list with an entry for each, but that argument is a '
        f'{type(found).__name__}')


def _as_said(images: int, rows: list[tuple[str, torch.Tensor]]) -> int:
    """N of a call, if its tensors can be of that many images: along the first
    axis, with time beside it or in front."""
    if images > 1 and rows and not any(
            size and size % images == 0
            for _, x in rows for size in x.shape[:2]):
        raise ValueError(
            f'batch={images} says that each call is about {images} images, '
            f'but this one gets {_shapes(rows)}: give it {images} images, or '
            'name the argument that has them along its first dimension, '
            f"to_spike_train(model, batch='{rows[0][0]}')")
    return images


def _without_axis(shape: torch.Size, images: int) -> tuple[int, ...]:
    """Shape of an image where the first axis is not N long: time may be in
    front, or folded into it."""
    axis = 1 if images in shape[1:2] else 0
    return (*shape[:axis], *shape[axis + 1:])


def _shapes(rows: list[tuple[str, torch.Tensor]]) -> str:
    return ', '.join(f"'{name}' of shape {tuple(x.shape)}"
                     for name, x in rows)


def _by_first_dimension(rows: list[tuple[str, torch.Tensor]], given: dict,
                        neuron_rows: Callable, vectors: bool) -> int:
    if not rows:
        raise ValueError(
            'the number of images can not be told, since no argument is a '
            'tensor with rows. Write to_spike_train(model, batch=1) if each '
            f'call is about one image{_or_a_list(given)}')
    sizes = {x.shape[0] for _, x in rows}
    lists = {name: _list_with(given, name) for name, x in rows if x.dim() < 4}
    lists = {name.rpartition('.')[0]: len(x) for name, x in lists.items() if x}
    sizes |= set(lists.values())  # if an image is in each
    name, x = max(rows, key=lambda row: row[1].dim())
    array = isinstance(_look_into(given, name), np.ndarray)
    if sizes != {1} and not lists and (x.dim() == 1 and not vectors
                                       or array and x.dim() == 3):
        raise ValueError(without_batch_axis(f"'{name}'", x.shape, name))
    if len(sizes) <= 1:
        return next(iter(sizes))
    images = neuron_rows()
    if images in (set(lists.values()) or sizes):
        return images
    if lists:
        name = next(iter(lists))
        raise ValueError(
            'the number of images can not be told: the entries of the '
            f"argument '{name}' may be images, or batches of images. Write "
            f"to_spike_train(model, batch='{name}') if each is an image, or "
            f"batch='{name}.0' if their first dimension is the images")
    raise ValueError(
        _unknown({k: f'the shape {tuple(x.shape)}' for k, x in rows}))


def _or_a_list(given: dict) -> str:
    lists = [name for name, x in given.items()
             if isinstance(x, (list, tuple)) and x]
    return f", or batch='{lists[0]}' if it has an entry for each" if (
        lists) else ''


class _Reached(BaseException):
    """A run of a model has come to its first neuron."""


@torch.no_grad()
def _neuron_rows(model: nn.Module, args: tuple, kwargs: dict) -> int | None:
    """Rows of the first neuron that a call reaches, over its time steps; the
    model is as it was, afterwards. None also where that can't be had."""

    def found(form, args, kwargs):
        membrane = (*args, *kwargs.values())[0]
        raise _Reached(membrane.shape[0], form.neuron.timesteps)

    def call():
        model(*args, **kwargs)
        raise _Reached(1, 2)  # none: as of rows that are no images

    try:
        args, kwargs = detached_copy((args, kwargs))
    except TypeError:  # such as a generator, which nobody can run twice
        return None
    handles = [m.register_forward_pre_hook(found, with_kwargs=True)
               for m in model.modules() if isinstance(m, SpikingForm)]
    try:
        runs = RunsOfOneCall(model, (ModulePath, Session))
        try:
            with in_its_precision(model):
                runs.run(call)
        except _Reached as reached:
            rows, timesteps = reached.args
        runs.go_back()
    except NotPutBack:
        return None
    finally:
        for handle in handles:
            handle.remove()
    return None if rows % timesteps else rows // timesteps


def _list_with(given: dict, name: str) -> list | tuple:
    """The list that holds what has this name; empty if none does."""
    above = name.rpartition('.')[0]
    found = _look_into(given, above) if above else None
    return found if isinstance(found, (list, tuple)) else []


def _look_into(given: dict, name: str) -> Any:
    """What has a name with dots; None if nothing has."""
    if name in given:
        return given[name]
    found: Any = given
    for key in name.split('.'):
        found = dict(_children(found)).get(key)
    return found


def _unknown(described: dict[str, str]) -> str:
    has = ', '.join(f"'{name}' has {what}"
                    for name, what in described.items())
    return (f'the number of images can not be told from the arguments: {has}.'
            " Name the one that holds the images: to_spike_train(model, "
            f"batch='{next(iter(described))}')")
