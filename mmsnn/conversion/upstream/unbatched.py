"""Inputs without a batch axis, whose first dimension is no images."""

from collections.abc import Sequence

import torch
from torch.overrides import TorchFunctionMode

#: Layers that also take inputs without a batch axis, of this many dimensions:
#: they add up along the first one. (Pooling does not, so it says nothing.)
_DIMENSIONS = {
    name.format(axes): axes + 1
    for axes in (1, 2, 3) for name in ('conv{}d', 'conv_transpose{}d')
} | {'linear': 1, 'multi_head_attention_forward': 2}


def without_batch_axis(what: str, shape: Sequence[int],
                       name: str = 'NAME') -> str:
    """What to say where an input seems to have no batch axis.

    Args:
        what (str): What has this shape.
        shape (Sequence[int]): The shape.
        name (str): Name of the argument. Defaults to a placeholder.

    Returns:
        str: One sentence.
    """
    return (f'{what} has the shape {tuple(shape)}, which may be one image '
            f'without a batch axis or {shape[0]} images: put a 1 in front of '
            'it (x[None]), or write to_spike_train(model, batch=1) if it is '
            f"one image, or batch='{name}' if its first dimension is the "
            'images')


class Unbatched(TorchFunctionMode):
    """Raises where a layer takes the input of a model for one image without
    a batch axis.

    Args:
        path (Callable): Gives the path of the module that is running.
        dimensions (int): Of the input of the model. Layers that run image by
            image have one less.

    Raises:
        ValueError: In the call of the layer.
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __init__(self, path, dimensions: int) -> None:
        super().__init__()
        self._path = path
        self._dimensions = dimensions

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        expected = _DIMENSIONS.get(getattr(func, '__name__', ''))
        if expected == self._dimensions:
            x = args[0] if args else kwargs.get('input', kwargs.get('query'))
            if isinstance(x, torch.Tensor) and x.dim() == expected and (
                    len(x) > 1):
                raise ValueError(without_batch_axis(
                    f'{self._path()}: its input', x.shape))
        return func(*args, **kwargs)
