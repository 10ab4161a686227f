"""Proof that folding the norms of a model changes nothing.

A norm may be folded into the synapse in front of it if the model passes the
synapse's output to the norm, and nowhere else: no tap, no skipped norm, no
weight that is used once more. Which way tensors take is seen when the model
runs. So before the first call of a kind, a copy with all norms in place is run
on the same input and watched. Folds that it does not prove are undone.
"""

import copy
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
)

from mmsnn.conversion.counting.tensor_sources import memory_of, tensors
from mmsnn.conversion.spikes.results import decode_results
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.conversion.upstream.double import in_its_precision, precision
from mmsnn.conversion.upstream.random_numbers import own_random_numbers

from .comparison import Leaf, compare_leaves, leaves
from .fold import Fold, find_folds

#: Kinds of calls that are tried, at most.
_MOST_KINDS = 32
_UNREACHED = 'no call has reached it so far'
#: Rounding changes results by no more than this part of the largest value.
_SAME = 1e-6


class OtherWay(BaseException):
    """A call does not take the way for which a norm was folded."""


class Folding:
    """The norms of a model that are folded, as far as calls prove it.

    Args:
        model (nn.Module): In eval mode, its neurons in training form. All
            norms that can be are folded at once.

    Raises:
        ValueError: If a norm holds NaN or infinite values.

    Example:
        >>> class Net(nn.Sequential):  # it leaves the norm out
        ...     def __init__(self):
        ...         super().__init__(
        ...             nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)))
        ...     def forward(self, x):
        ...         return self[0][0](x).relu()
        >>> folding = Folding(Net().eval())
        >>> folding.folded_norms, folding.unfolded
        (1, [])
        >>> folding.prove((torch.ones(1, 1, 2, 2), ), {})
        True
        >>> folding.folded_norms, folding.unfolded
        (0, ['0.1: relu reads the output of 0.0'])
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._folds, self._never = find_folds(model)
        self._faults: dict[str, str] = {}  # by the path of the norm
        self._open: dict[str, str] = {}  # why they are not folded so far
        self._proven: set[str] = set()
        self._tried: set = set()
        if self._folds:
            shared = {id(p): p for p in model.parameters()}
            self._plain = copy.deepcopy(model, shared)
        self._waiting: dict[str, torch.Tensor] = {}  # by the path of the norm
        self._trial: list[Leaf] | None = None  # what the latest returned
        for fold in self._folds:
            self._apply(fold)
            self._follow(fold)

    @property
    def folded_norms(self) -> int:
        """Number of norms that are folded, one for each synapse."""
        return sum(len(f.synapses) for f in self._folds if f.applied)

    @property
    def unfolded(self) -> list[str]:
        """Norms right behind a synapse that are not folded, as
        ``'path: reason'``."""
        reasons = {**self._open, **self._faults}
        return self._never + [f'{path}: {why}' for path, why in
                              reasons.items()]

    def prove(self, args: tuple, kwargs: dict) -> bool:
        """Try a call, unless its kind was tried before.

        Args:
            args (tuple): Those of the call.
            kwargs (dict): Those of the call.

        Returns:
            bool: Whether other norms are folded now.
        """
        self._trial = None
        kind = _kind((args, kwargs))
        if (not self._folds or kind in self._tried
                or len(self._tried) >= _MOST_KINDS):
            return False
        watch = _FoldWatch(self._plain, self._folds)
        missing = _UNREACHED
        try:
            with own_random_numbers():
                args, kwargs = detached_copy((args, kwargs))
                self._plain.to(next(self._model.parameters()).device)
                results = watch.run(args, kwargs)
                if precision(self._plain) == torch.float64:
                    self._trial = leaves(results)
        except Exception as error:  # which the call itself will raise, too
            watch.reached.clear()
            missing = f'a trial failed ({type(error).__name__}: {error})'
        else:
            self._tried.add(kind)
        before = [fold.applied for fold in self._folds]
        for fold in self._folds:
            self._decide(fold, watch, missing)
        return before != [fold.applied for fold in self._folds]

    @contextmanager
    def followed(self) -> Iterator[Callable[[Any], None]]:
        """Context of one call, in which synapses hand outputs to norms.

        Yields:
            Callable: To be called with what the model returns. In float64 it
            has to be what the trial has returned, if there was one.

        Raises:
            OtherWay: If one does not, or it is not. Folds are undone by then.
        """
        self._waiting.clear()
        try:
            yield self._compare
            for path in list(self._waiting):
                self._leave(path, 'a call leaves it out')
        finally:
            self._waiting.clear()

    def _compare(self, results: Any) -> None:
        """Compare results with those of the trial of this very call."""
        trial, self._trial = self._trial, None
        if trial is None or compare_leaves(
                trial, leaves(decode_results(results))).share <= _SAME:
            return
        for fold in self._folds:
            if fold.applied:
                self._faults[fold.path] = (
                    'the model returns something else with norms folded')
                fold.undo()
        raise OtherWay

    def _follow(self, fold: Fold) -> None:
        """See in each call what goes from a synapse to its norm."""
        path, waiting = fold.path, self._waiting

        def ends(forward: Callable) -> Callable:

            def run(*args, **kwargs):
                output = forward(*args, **kwargs)
                if fold.applied:
                    if path in waiting:
                        self._leave(path, 'a call leaves it out')
                    waiting[path] = output
                return output

            return run

        def starts(forward: Callable) -> Callable:

            def run(x, *args, **kwargs):
                if fold.applied and waiting.pop(path, None) is not x:
                    self._leave(path, 'in a call it reads something else')
                return forward(x, *args, **kwargs)

            return run

        # Hooks do the same, but take longer in each call.
        fold.norm.forward = starts(fold.norm.forward)
        for synapse in fold.synapses.values():
            synapse.forward = ends(synapse.forward)

    def _leave(self, path: str, reason: str) -> None:
        self._faults[path] = reason
        next(f for f in self._folds if f.path == path).undo()
        raise OtherWay(path)

    def _decide(self, fold: Fold, watch: '_FoldWatch', missing: str) -> None:
        """Fold or unfold by what was seen."""
        path = fold.path
        if path in watch.faults:
            self._faults.setdefault(path, watch.faults[path])
        if path in self._faults:
            self._open.pop(path, None)
            fold.undo()
        elif watch.reached.issuperset(fold.synapses):
            self._proven.add(path)
            self._open.pop(path, None)
            self._apply(fold)
        elif path not in self._proven:
            self._open[path] = missing
            fold.undo()

    def _apply(self, fold: Fold) -> None:
        if not fold.applied and not fold.apply():
            state = fold.norm.state_dict(prefix=f'{fold.path}.')
            for name, x in state.items():
                if not torch.isfinite(x).all():
                    raise ValueError(f'{name} of the model holds NaN or '
                                     'infinite values: it can not be '
                                     'converted')
            self._faults[fold.path] = (
                'the weights that would be folded overflow their type')


def _kind(x: Any) -> Any:
    """What the way of a call through a model depends on, but for values,
    sizes and numbers."""
    if isinstance(x, torch.Tensor):
        return x.dim(), x.dtype
    if isinstance(x, dict):
        return frozenset((k, _kind(v)) for k, v in x.items())
    if isinstance(x, (list, tuple)):
        return frozenset(map(_kind, x))
    return x if isinstance(x, (bool, str, type(None))) else type(x)


class _PlainReads(TorchFunctionMode):
    """Sees tensors that become Python lists, which no operation does.

    Args:
        read (Callable): Called with the function's name and the tensors.
    """

    def __init__(self, read: Callable[[str, Any], None]) -> None:
        super().__init__()
        self._tell = read

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.tolist:
            self._tell('tolist', args)
        return func(*args, **(kwargs or {}))


class _FoldWatch(TorchDispatchMode):
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

        def starts(module, inputs):
            self._running.append(path)
            if before is not None:
                before(inputs[0] if inputs else None)

        def ends(module, inputs, output):
            self._running.pop()
            if after is not None:
                after(output)

        for handle in (module.register_forward_pre_hook(starts),
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
        """Run a compiled op of mmcv; called by :class:`MmcvOp`.

        Args:
            name (str): Its name in ``mmcv._ext``.
            call (Callable): Runs it.
            args (tuple): Its arguments.
            kwargs (dict): Its keyword arguments.

        Returns:
            What it returns.
        """
        self._read(name, (args, kwargs))
        return call(*args, **kwargs)
