"""Proof that folding the norms of a model changes nothing.

A norm may be folded into the synapse in front of it if the model passes the
synapse's output to the norm, and nowhere else: no tap, no skipped norm, no
weight that is used once more. Which way tensors take is seen when the model
runs. So before the first call of a kind, a copy with all norms in place is run
on the same input and watched. Folds that it does not prove are undone. Later
calls of that kind may go another way: in each, a synapse has to hand its
output to its norm, and to nothing else, or else the fold is undone and the
call runs once more.

Python code of a model may look at its modules, too (``conv.bias is None``).
While a call runs, it finds there what it would find without the fold.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from weakref import ref

import torch
from torch import nn

from mmsnn.conversion.counting.saved_state import SavedState
from mmsnn.conversion.spikes.results import decode_results
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.conversion.upstream.double import precision
from mmsnn.conversion.upstream.random_numbers import own_random_numbers

from .comparison import compare_leaves
from .fold import Fold, find_folds
from .fold_watch import FoldWatch
from .leaves import Leaf, leaves
from .unnormalised import Unnormalised

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
            self._plain = detached_copy(model, shared)
        # Of the call that runs: outputs that no norm has taken, and all
        # outputs, each by the path of the norm.
        self._waiting: dict[str, Unnormalised] = {}
        self._outputs: list[tuple[str, ref]] = []
        self._trial: list[Leaf] | None = None  # what the latest returned
        for fold in self._folds:
            self._follow(fold)
            self._apply(fold)

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
        watch = FoldWatch(self._plain, self._folds)
        missing = _UNREACHED
        try:
            with own_random_numbers():
                args, kwargs = detached_copy((args, kwargs))
                self._plain.to(next(self._model.parameters()).device)
                # The copy shares its parameters and what is global.
                state = SavedState(self._plain, everything=True)
                state.save()
                try:
                    results = watch.run(args, kwargs)
                finally:
                    state.put_back()
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
            OtherWay: If one does not, or it is not, or something else reads
                an output. Folds are undone by then.
            RuntimeError: If the call has written into what a fold has hidden.
        """
        for fold in self._folds:
            fold.hide()
        try:
            yield self._compare
            for path in list(self._waiting):
                self._leave(path, 'a call leaves it out')
            self._check_kept()
            self._check_written()
        finally:
            self._waiting.clear()
            self._outputs.clear()
            for fold in self._folds:
                fold.show()

    def _check_kept(self) -> None:
        """Nothing may keep the output of a synapse whose norm is folded."""
        if any(output() is not None for _, output in self._outputs):
            gc.collect()
        for path, output in self._outputs:
            if output() is not None:
                self._leave(path, 'in a call an output that it normalises is '
                            'kept or returned')

    def _check_written(self) -> None:
        """Folded weights are not those that code changes, be it the model's
        own or whoever else holds them."""
        for fold in self._folds:
            if fold.hidden and fold.is_outdated():
                self._faults[fold.path] = 'in a call the model changed weights'
                fold.undo()
                raise RuntimeError(
                    f'{fold.path}: this call has changed its weights, or '
                    f'those of {" or ".join(fold.synapses)}, into which it '
                    'was folded, or they were changed since the last call. It '
                    'is not folded any more: call the model once more')

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
        path, waiting, outputs = fold.path, self._waiting, self._outputs

        def ends(name: str, synapse: nn.Module) -> Callable:
            forward, dims = synapse.forward, synapse.weight.dim()

            def read(op: str) -> NoReturn:
                self._leave(path, f'in a call {op} reads the output of {name}')

            def run(*args, **kwargs):
                if not fold.hidden:
                    return forward(*args, **kwargs)
                output = fold.run(synapse, forward, args, kwargs)
                if path in waiting:
                    self._leave(path, 'a call leaves it out')
                if output.dim() != dims:
                    self._leave(path, 'in a call it normalises dimension 1 of '
                                f'{output.dim()}')
                output = waiting[path] = Unnormalised(output, read)
                outputs.append((path, ref(output)))
                return output

            return run

        def starts(norm: nn.Module) -> Callable:
            forward, eps = norm.forward, norm.eps

            def run(*args, **kwargs):
                if not fold.applied:
                    return forward(*args, **kwargs)
                x = next(iter(args or kwargs.values()), None)
                if not fold.hidden:
                    return x  # a part of the model is run alone
                if waiting.pop(path, None) is not x:
                    self._leave(path, 'in a call it reads something else')
                if norm.training or norm.eps != eps:
                    self._leave(path, 'a call changes how it normalises')
                return x.normalised

            return run

        # Hooks do the same, but take longer in each call.
        fold.norm.forward = starts(fold.norm)
        for name, synapse in fold.synapses.items():
            synapse.forward = ends(name, synapse)

    def _leave(self, path: str, reason: str) -> NoReturn:
        fold = next(f for f in self._folds if f.path == path)
        if not fold.hidden:  # an output that an earlier run has kept
            raise RuntimeError(f'{path}: {reason}, which was kept from a call '
                               'that was run once more: make it anew in each '
                               'call')
        self._faults[path] = reason
        fold.undo()
        raise OtherWay(path)

    def _decide(self, fold: Fold, watch: FoldWatch, missing: str) -> None:
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
