"""How many images a call of a model is about: told, or asked for."""

from collections.abc import Iterator
from inspect import signature
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import nn

#: The keyword that says which argument holds the images.
ASK = "to_spike_train(model, batch='NAME')"


class Batch:
    """The images among the arguments of a call.

    They are told by the first of these that there is:

    1. the argument that ``named`` names,
    2. lists of data samples, with one for each image,
    3. the argument ``inputs`` of a model with a data preprocessor,
    4. tensors, whose first dimension is the images in all of them. Single
       numbers don't count. In a list or tuple they do where they have four
       dimensions or more, as feature maps have; shorter ones could be a list
       with an image each.

    Args:
        model (nn.Module): What is called.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
        named (str, optional): The argument that holds the images: a tensor
            with a row for each, or a list with an entry for each. What is
            inside others is named with dots, ``'feats.0'``.

    Attributes:
        images (int): N; 1 where no argument is a tensor.
        image_shape (tuple[int]): Shape of an image as the model gets it: of
            the named argument, or of the tensor with most dimensions.

    Raises:
        ValueError: If it can't be told, or nothing has that name.

    Example:
        >>> model, x = nn.Bilinear(4, 3, 1), torch.zeros(2, 3)
        >>> batch = Batch(model, (torch.zeros(77, 4), x), {}, named='input2')
        >>> batch.images, batch.image_shape
        (2, (3,))
        >>> Batch(model, (torch.zeros(2, 4), x), {}).images
        2
    """

    def __init__(self, model: nn.Module, args: tuple, kwargs: dict,
                 named: str | None = None) -> None:
        given = _named_arguments(model.forward, args, kwargs)
        rows = [(name, x) for name, x in _leaves(given, '')
                if isinstance(x, torch.Tensor) and x.dim()]
        samples = {name: len(x) for name, x in _sample_lists(given, '')}
        if named is not None:
            self.images, rows = _look_up(given, named)
        elif samples:
            self.images = _agree(samples, {
                name: f'{n} data samples' for name, n in samples.items()})
        elif hasattr(model, 'data_preprocessor') and isinstance(
                given.get('inputs'), (torch.Tensor, list, tuple)):
            self.images, rows = _look_up(given, 'inputs')
        else:
            self.images = _first_dimension(rows, given)
        most = max(rows, key=lambda row: row[1].dim(), default=None)
        self.image_shape = () if most is None else tuple(most[1].shape[1:])


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
        yield name, x


def _sample_lists(x: Any, name: str) -> Iterator[tuple[str, list]]:
    if isinstance(x, (list, tuple)) and x and all(
            isinstance(v, BaseDataElement) for v in x):
        yield name, x
        return
    for key, value in _children(x):
        yield from _sample_lists(value, f'{name}.{key}' if name else key)


def _look_up(given: dict, named: str) -> tuple[int, list]:
    """Images of the named argument, and its tensors under their names."""
    found: Any = given
    if named in given:
        found = given[named]
    else:
        for key in named.split('.'):
            inside = dict(_children(found))
            if key not in inside:
                raise ValueError(
                    f'batch={named!r} names no argument of this call: it '
                    f'has {", ".join(inside) or "none"}')
            found = inside[key]
    if isinstance(found, torch.Tensor) and found.dim():
        return found.shape[0], [(named, found)]
    if isinstance(found, (list, tuple)):
        # Each entry is an image: a row of one in front.
        return len(found), [(named, x[None]) for x in found[:1]
                            if isinstance(x, torch.Tensor)]
    raise ValueError(
        f'batch={named!r} must name a tensor with a row for each image or a '
        f'list with an entry for each, but that argument is a '
        f'{type(found).__name__}')


def _first_dimension(rows: list[tuple[str, torch.Tensor]],
                     given: dict) -> int:
    if not rows:
        return 1
    in_lists = {
        name: x for name, x in rows
        if x.dim() < 4 and isinstance(_parent(given, name), (list, tuple))
    }
    shapes = {name: f'the shape {tuple(x.shape)}' for name, x in rows}
    if in_lists:
        name = next(iter(in_lists)).rpartition('.')[0]
        raise ValueError(
            'the number of images can not be told: the entries of the '
            f"argument '{name}' may be images, or batches of images. Write "
            f"to_spike_train(model, batch='{name}') if each is an image, or "
            f"batch='{name}.0' if their first dimension is the images")
    return _agree({name: x.shape[0] for name, x in rows}, shapes)


def _parent(given: dict, name: str) -> Any:
    found: Any = given
    *above, last = name.split('.')
    for key in above:
        inside = dict(_children(found))
        if key not in inside:  # one of *args
            return None
        found = inside[key]
    return found


def _agree(sizes: dict[str, int], described: dict[str, str]) -> int:
    if len(set(sizes.values())) == 1:
        return next(iter(sizes.values()))
    has = ', '.join(f"'{name}' has {what}"
                    for name, what in described.items())
    raise ValueError(
        f'the number of images can not be told from the arguments: {has}. '
        f'Name the one that holds the images: {ASK}')
