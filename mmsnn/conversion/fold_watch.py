"""Watches which way the outputs of synapses take to their norms."""

import gc
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from mmsnn.conversion.counting.tensor_sources import memory_of
from mmsnn.conversion.upstream.double import in_its_precision
from mmsnn.conversion.upstream.mmcv_dispatch import MmcvOpMode
from mmsnn.conversion.upstream.nested import tensors

from .fold import Fold


class _PlainReads(TorchFunctionMode):
    """Sees reads of tensors, and of their memory, which no operation does.

    Args:
        read (Callable): Called with the function's name and the tensors.
    """

    _READS = (torch.Tensor.tolist, torch.Tensor.data_ptr,
              torch.Tensor.untyped_storage, torch.Tensor.storage,
              torch.Tensor.__reduce_ex__, torch.Tensor.__repr__,
              torch.Tensor.data.__set__)

    def __init__(self, read: Callable[[str, Any], None]) -> None:
        super().__init__()
        self._tell = read

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self._READS:
            self._tell(func.__name__, args)
        return func(*args, **(kwargs or {}))


class FoldWatch(MmcvOpMode):
    """Watches which way the outputs of synapses take to their norms.

    Args:
        model (nn.Module): With all norms in place.
        folds (list[Fold]): Those of another copy of the model.

    Attributes:
        faults (dict[str, str]): By the path of a norm, why folding it would
            change something.
        reached (set[str]): Paths of synapses whose output was normalised.
    """

    def __init__(self, model: nn.Module, folds: list[Fold]) -> None:
        super().__init__()
        self.model = model
        self.faults: dict[str, str] = {}
        self.reached: set[str] = set()
        self._running: list[str] = []  # paths of synapses and norms
        # Of memory: folds, the modules that may read it, and what it is.
        self._private: dict[StorageWeakRef, list[tuple[Fold, str, str]]] = {}
        self._outputs: dict[StorageWeakRef, tuple[Fold, str]] = {}
        self._folds = folds
        self._unused = Counter()  # outputs, by the path of the norm

    def run(self, args: tuple, kwargs: dict) -> Any:
        """Run the model and watch.

        Args:
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.

        Returns:
            What it returns.
        """
        with ExitStack() as watched:
            for fold in self._folds:
                norm = self.model.get_submodule(fold.path)
                self._watch(watched, norm, fold.path, fold,
                            self._before_norm(fold))
                for path in fold.synapses:
                    synapse = self.model.get_submodule(path)
                    self._watch(watched, synapse, path, fold,
                                after=self._after_synapse(fold, path))
            # What others watch is the call itself, not its trial.
            watched.enter_context(_disable_current_modes())
            watched.enter_context(in_its_precision(self.model))
            watched.enter_context(_PlainReads(self._read))
            results = watched.enter_context(self).model(*args, **kwargs)
        if any(not memory.expired() for memory in self._outputs):
            gc.collect()
        for memory, (fold, path) in self._outputs.items():
            if not memory.expired():
                self._fault(fold, f'the output of {path} is kept or returned')
        for fold in self._folds:
            if self._unused[fold.path] > 0:
                self._fault(fold, 'a call leaves it out')
        return results

    def _watch(self, watched: ExitStack, module: nn.Module, path: str,
               fold: Fold, before=None, after=None) -> None:
        """Know when a module runs, and that it alone reads its weights."""
        for x in (*module._parameters.values(), *module._buffers.values()):
            if x is not None:
                self._private.setdefault(memory_of(x), []).append(
                    (fold, path, f'weights of {path}'))

        def starts(module, args, kwargs):
            self._running.append(path)
            if before is not None:
                before(next(iter((*args, *kwargs.values())), None))

        def ends(module, inputs, output):
            self._running.pop()
            if after is not None:
                after(output)

        for handle in (module.register_forward_pre_hook(starts,
                                                        with_kwargs=True),
                       module.register_forward_hook(ends)):
            watched.callback(handle.remove)

    def _before_norm(self, fold: Fold):

        def starts(x):
            known, path = None, ''
            if x is not None:
                known, path = self._outputs.get(memory_of(x), (None, ''))
            if known is not fold:
                self._fault(fold, 'it gets something else than the output of '
                            + ' or '.join(fold.synapses))
                return
            self._unused[fold.path] -= 1
            synapse = self.model.get_submodule(path)
            dims = synapse.weight.dim()
            if x.dim() != dims:
                self._fault(
                    fold, f'it normalises dimension 1 of {x.dim()}, which '
                    f'holds no channels of {path}')
            elif self.model.get_submodule(fold.path).training:
                self._fault(fold, 'it uses the statistics of each batch')
            self.reached.add(path)

        return starts

    def _after_synapse(self, fold: Fold, path: str):

        def ends(output):
            memory = memory_of(output)
            self._outputs[memory] = fold, path
            self._unused[fold.path] += 1
            self._private[memory] = [(fold, fold.path, f'output of {path}')]

        return ends

    def _fault(self, fold: Fold, reason: str) -> None:
        self.faults.setdefault(fold.path, reason)

    def _read(self, name: str, arguments: Any) -> None:
        """An op reads its arguments, and maybe writes them."""
        for x in tensors(arguments):
            if x.layout is not torch.strided or x.is_nested:
                continue
            known = self._private.get(memory_of(x), ())
            if known and not any(self._running[-1:] == [reader]
                                 for _, reader, _ in known):
                for fold, _, what in known:
                    self._fault(fold, f'{name} reads the {what}')

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self._read(func.overloadpacket.__name__, (args, kwargs or {}))
        return func(*args, **(kwargs or {}))

    def run_mmcv_op(self, name, call, args, kwargs):
        """See :meth:`.MmcvOpMode.run_mmcv_op`."""
        self._read(name, (args, kwargs))
        return call(*args, **kwargs)
