"""mmcv's compiled ops, made visible to dispatch modes.

PyTorch's dispatcher knows nothing of the functions of ``mmcv._ext`` (NMS,
RoIAlign, deformable convolutions, ...): no dispatch mode sees them, and a
:class:`SpikeTensor`, which has no storage, would crash them. So each function
of that module is replaced by an :class:`ExtensionOp` around it, which decodes
spikes and asks the calling thread's dispatch modes. It keeps no state; where
no mode takes an interest, the function is called as ever.
"""

from collections.abc import Callable
from functools import partial, update_wrapper
from importlib import import_module
from importlib.util import find_spec
from inspect import isroutine
from typing import Any

from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from mmsnn.conversion.spikes.spike_tensor import decode

#: Functions that only tell how the extension was built.
_INFORMATION = ('get_compiler_version', 'get_compiling_cuda_version')


class ExtensionOp:
    """A compiled function that dispatch modes can handle.

    A mode that wants to has a method ``run_extension(name, call, args,
    kwargs)``. As with PyTorch's ops, the mode that was entered last is asked
    first, and calls ``call(*args, **kwargs)`` to go on.

    Args:
        function (Callable): The compiled function.

    Example:
        >>> from torch.utils._python_dispatch import TorchDispatchMode
        >>> class Names(TorchDispatchMode):
        ...     def run_extension(self, name, call, args, kwargs):
        ...         print(name)
        ...         return call(*args, **kwargs)
        >>> op = ExtensionOp(max)
        >>> op(1, 2)
        2
        >>> with Names():
        ...     _ = op(1, 2)
        max
    """

    def __init__(self, function: Callable) -> None:
        update_wrapper(self, function, updated=())
        self.function = function

    def __call__(self, *args, **kwargs) -> Any:
        call = self._run
        for mode in _get_current_dispatch_mode_stack():
            handler = getattr(mode, 'run_extension', None)
            if handler is not None:
                call = partial(_handled, handler, self.__name__, call)
        return call(*args, **kwargs)

    def _run(self, *args, **kwargs) -> Any:
        return self.function(*map(decode, args),
                             **{k: decode(v) for k, v in kwargs.items()})


def _handled(handler, name, call, *args, **kwargs):
    return handler(name, call, args, kwargs)


def expose_extensions() -> None:
    """Make the ops of ``mmcv._ext`` visible, for the life of the process.

    Does nothing where they are visible already, or where mmcv was built
    without them.
    """
    if find_spec('mmcv._ext') is None:
        return
    extension = import_module('mmcv._ext')
    for name, function in list(vars(extension).items()):
        if isroutine(function) and name not in _INFORMATION:
            setattr(extension, name, ExtensionOp(function))
