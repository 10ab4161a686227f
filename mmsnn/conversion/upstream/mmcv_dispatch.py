"""mmcv's compiled ops, made visible to dispatch modes.

PyTorch's dispatcher knows nothing of the functions of ``mmcv._ext`` (NMS,
RoIAlign, deformable convolutions, ...): no dispatch mode sees them, and a
:class:`SpikeTensor`, which has no storage, would crash them. So each function
of that module is replaced by an :class:`MmcvOp` around it, which decodes
spikes and asks the dispatch modes of the thread that calls it. It keeps no
state; if no mode handles it, the function is called as ever.
"""

from collections.abc import Callable
from functools import partial, update_wrapper
from importlib import import_module
from importlib.util import find_spec
from inspect import isroutine
from typing import Any

from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode_stack,
)

from mmsnn.conversion.spikes.spike_tensor import decode

#: Functions that only tell how mmcv was built.
_INFORMATION = ('get_compiler_version', 'get_compiling_cuda_version')


class MmcvOpMode(TorchDispatchMode):
    """A dispatch mode that sees mmcv's compiled ops, too."""

    def run_mmcv_op(self, name: str, call: Callable, args: tuple,
                    kwargs: dict) -> Any:
        """Run a compiled op of mmcv; called by :class:`MmcvOp`.

        It may write into any of its arguments. Subclasses do more than to
        run it.

        Args:
            name (str): Its name in ``mmcv._ext``.
            call (Callable): Runs it, and asks the modes that were entered
                before.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.

        Returns:
            What it returns.

        Raises:
            UnclassifiedOpError: If ops are recorded, and no rule says what
                it costs.
        """
        return call(*args, **kwargs)


class MmcvOp:
    """A compiled function that dispatch modes can handle.

    A mode that wants to handle it is an :class:`MmcvOpMode`. As with
    PyTorch's ops, the mode that was entered last is asked first.

    Args:
        function (Callable): The compiled function.

    Example:
        >>> class Names(MmcvOpMode):
        ...     def run_mmcv_op(self, name, call, args, kwargs):
        ...         print(name)
        ...         return super().run_mmcv_op(name, call, args, kwargs)
        >>> op = MmcvOp(max)
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
        """Run the function, or have the dispatch modes handle it.

        Args:
            *args: Those of the function.
            **kwargs: Those of the function.
        """
        call = self._run
        for mode in _get_current_dispatch_mode_stack():
            if isinstance(mode, MmcvOpMode):
                call = partial(_handled, mode.run_mmcv_op, self.__name__,
                               call)
        return call(*args, **kwargs)

    def _run(self, *args, **kwargs) -> Any:
        return self.function(*map(decode, args),
                             **{k: decode(v) for k, v in kwargs.items()})


def _handled(handler, name, call, *args, **kwargs):
    return handler(name, call, args, kwargs)


def expose_mmcv_ops() -> None:
    """Make the ops of ``mmcv._ext`` visible, for the life of the process.

    Does nothing where they are visible already, or where mmcv was built
    without them.
    """
    if find_spec('mmcv._ext') is None:
        return
    module = import_module('mmcv._ext')
    for name, function in list(vars(module).items()):
        if isroutine(function) and name not in _INFORMATION:
            setattr(module, name, MmcvOp(function))
