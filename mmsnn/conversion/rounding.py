"""How much rounding changes what a model returns, measured.

Where large numbers cancel, all that is left is rounding, which is another one
in each order of summation. Nothing in the results tells how large it may be:
that depends on the terms, which are gone. So the model runs again, while each
op reads numbers that are changed at random by a small share. What a result
then changes by is in proportion to the terms behind it, and to nothing else:
a value of 1e-6 beside one of 1e6 stays exact unless numbers of 1e6 have gone
into it.

The share is 4096 times the rounding of the type. The sum of n terms in another
order differs by about sqrt(n) roundings of its terms' root mean square; what
is measured is about 4096 times sqrt(n) roundings of it. That is far above the
rounding of both forms, even where a draw happens to be small, and far below
any fault: in float64 it is 1e-12 of the terms.

Not everything that changes is rounding. Near a kink, a jump or a tie another
branch may be taken, and models may draw random numbers. So each draw is taken
at 16 times its size, too: only what changes 16 times as much, but for a
quarter, is rounding. Spikes are kept as they were: they are compared one by
one. Whole numbers are kept as well: indices, masks and counts, sums of which
are exact.

What a clock or a counter changes may grow as rounding does. So before that,
one more run, in which nothing is changed, has to return the very same.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from mmsnn.conversion.spikes.writes import written
from mmsnn.conversion.upstream.double import in_its_precision
from mmsnn.conversion.upstream.random_numbers import own_random_numbers

from .comparison import same_structure
from .leaves import Leaf, leaves

#: Types in which rounding can be measured: 16 bits leave no room below a
#: value for changes that are larger than rounding and still small.
MEASURABLE = (torch.float64, torch.float32)
#: Changes, in units of the rounding of the type.
_UNITS = 2**12
#: How much larger the second run of each draw is, and by which part of its
#: change it may miss that.
_LARGER, _MISSED = 16, 0.25
#: Draws, each with both signs: one of them takes either side of a kink.
_DRAWS = 2


class NotRepeatableError(RuntimeError):
    """A model returns something else in each run of the same call: what
    changes between its runs says nothing of rounding."""


class Perturbed(TorchDispatchMode):
    """Ops read numbers that are changed at random.

    Args:
        dtype (torch.dtype): Type of the numbers that are changed.
        share (float): The largest change, relative to the number.
        seed (int): Of the changes.

    Example:
        >>> x = torch.full((1000, ), 0.1)
        >>> with Perturbed(torch.float32, 2**-10, seed=0):
        ...     y, n = x * 3, torch.arange(3.) * 2
        >>> 1e-4 < (y - 0.3).abs().max() < 3e-4, n
        (tensor(True), tensor([0., 2., 4.]))
    """

    #: What neurons fire is replaced: none of their operations matter here.
    allows_kernels = True

    def __init__(self, dtype: torch.dtype, share: float, seed: int) -> None:
        super().__init__()
        self._dtype, self._share, self._seed = dtype, share, seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not func.is_view:
            kept = {id(x) for x in written(func, args, kwargs)}
            args, kwargs = tree_map(
                lambda x: x if id(x) in kept else self._changed(x),
                (args, kwargs))
        return func(*args, **kwargs)

    def _changed(self, x: Any) -> Any:
        if (not isinstance(x, torch.Tensor) or x.dtype != self._dtype
                or x.layout != torch.strided or x.is_nested):
            return x
        if x.device not in self._generators:
            self._generators[x.device] = torch.Generator(
                x.device).manual_seed(self._seed)
        change = torch.empty_like(x).uniform_(
            -1, 1, generator=self._generators[x.device])
        return torch.where(x == x.round(), x, x + x * change * self._share)


def measure_rounding(
        run: Callable, model: nn.Module, dtype: torch.dtype,
        first: Sequence[Leaf],
        counts: Mapping[str, Sequence[torch.Tensor]]
) -> Iterator[list[torch.Tensor | None]]:
    """Measure how much rounding changes results.

    Args:
        run (Callable): Calls the model, and returns its results.
        model (nn.Module): In training form.
        dtype (torch.dtype): Its type, one of :data:`MEASURABLE`.
        first (Sequence[Leaf]): What the call has returned.
        counts (Mapping[str, Sequence[Tensor]]): Spike counts that each neuron
            layer has fired in it, by its path, call by call.

    Yields:
        list[Tensor | None]: By how much each leaf may differ, in float64, None
        for what is no floating-point tensor: the largest so far. Draw by
        draw, so that nothing runs once all is explained; nothing more if a
        run fails, or returns something of another structure.

    Raises:
        NotRepeatableError: If a run in which nothing is changed returns other
            values than the call has.

    Example:
        >>> class Net(nn.Module):
        ...     def forward(self, x):
        ...         return x - x.flip(0).flip(0), x
        >>> net, x = Net().eval(), torch.full((1, ), 0.1).double()
        >>> found = measure_rounding(
        ...     lambda: net(x), net, torch.float64, leaves(net(x)), {})
        >>> rounding = next(found)
        >>> bool(1e-16 < rounding[-2] < 1e-12), rounding[-1].item()
        (True, 0.0)
    """
    # Copies: a run may write into the same tensors.
    values = [_double(leaf.tensor) for leaf in first]
    largest = [None if x is None else torch.zeros_like(x) for x in values]
    share = torch.finfo(dtype).eps * _UNITS
    _check_repeatable(run, model, first, values)

    def changes(share: float, seed: int) -> list[torch.Tensor | None] | None:
        with own_random_numbers(), _fired(model, counts), torch.no_grad(), \
                Perturbed(dtype, share, seed), in_its_precision(model):
            found = leaves(run())
        if not same_structure(first, found):
            return None
        return [None if x is None else _double(leaf.tensor).to(x.device) - x
                for x, leaf in zip(values, found)]

    for seed in range(_DRAWS):
        for sign in (1, -1):
            try:
                near = changes(sign * share, seed)
                far = changes(sign * share * _LARGER, seed)
            except Exception:  # of numbers that the model does not expect
                return
            if near is None or far is None:
                return
            largest = [
                None if x is None else torch.maximum(x, _in_proportion(a, b))
                for x, a, b in zip(largest, near, far)
            ]
            yield largest


def _check_repeatable(run: Callable, model: nn.Module, first: Sequence[Leaf],
                      values: Sequence[torch.Tensor | None]) -> None:
    """Raise if another run returns other values."""
    try:
        with own_random_numbers(), torch.no_grad(), in_its_precision(model):
            found = leaves(run())
    except Exception:  # as in the runs that follow
        return
    if not same_structure(first, found):
        return
    for leaf, x, again in zip(first, values, found):
        y = _double(again.tensor)
        if x is not None and not torch.allclose(
                x, y.to(x.device), rtol=0, atol=0, equal_nan=True):
            raise NotRepeatableError(
                f'{leaf.path} (the training form returns another value in '
                'each run)')


def _in_proportion(near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Changes that grow with what they come from; else 0."""
    expected = _LARGER * near
    grows = (far - expected).abs() <= _MISSED * expected.abs()
    return torch.where(grows, near.abs(), 0)


def _double(x: torch.Tensor | None) -> torch.Tensor | None:
    """A copy in float64 of a floating-point tensor; else None."""
    if x is None or not x.is_floating_point():
        return None
    return x.to(torch.float64, copy=True)


@contextmanager
def _fired(model: nn.Module,
           counts: Mapping[str, Sequence[torch.Tensor]]) -> Iterator[None]:
    """Context in which neurons fire what they have fired before."""

    def hook(left: deque):
        return lambda module, inputs, output: (
            left.popleft().to(output) * module.scale)

    with ExitStack() as handles:
        for path, fired in counts.items():
            handle = model.get_submodule(path).register_forward_hook(
                hook(deque(fired)))
            handles.callback(handle.remove)
        yield
