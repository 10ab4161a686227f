"""Where in a model numbers stop being finite."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmsnn.conversion.upstream.random_numbers import (
    RandomNumbers,
    own_random_numbers,
)
from mmsnn.conversion.watching import neuron_layers


class FirstNotFinite:
    """The first layer of a model whose output is not finite.

    A context that watches the layers that run in it.

    Attributes:
        path (str, optional): Path of the layer in the model; None if all
            outputs were finite.
        weights (list[str]): Names of those of its weights that are not finite
            themselves.

    Args:
        model (nn.Module): The model.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> _ = model[2].bias.data.fill_(float('nan'))
        >>> with FirstNotFinite(model) as first:
        ...     _ = model(torch.ones(1, 2))
        >>> first.path, first.weights
        ('2', ['bias'])
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.path: str | None = None
        self.weights: list[str] = []

    def __enter__(self) -> 'FirstNotFinite':
        self._handles = [
            module.register_forward_hook(
                lambda module, args, output, path=path: self._look(
                    path, module, output))
            for path, module in self._model.named_modules() if path
        ]
        return self

    def __exit__(self, *args) -> None:
        for handle in self._handles:
            handle.remove()

    def _look(self, path: str, module: nn.Module, output: object) -> None:
        if self.path is None and not all(map(_finite, _tensors(output))):
            self.path = path
            self.weights = [
                name for name, weight in module.named_parameters()
                if not _finite(weight)
            ]


class InfiniteMembranes:
    """The neurons whose float16 membrane potentials are infinite.

    What is beyond 65504 is infinite in float16. A neuron fires D spikes or
    none there, which is finite again, so that no loss shows it. A context
    that watches the neurons that run in it.

    Args:
        model (nn.Module): The model.

    Example:
        >>> from mmsnn.neurons import SFANeuron
        >>> model = nn.Sequential(nn.Identity(), SFANeuron())
        >>> with InfiniteMembranes(model) as found:
        ...     spikes = model(torch.tensor([1., 1e5]).half())
        >>> spikes.tolist(), found.paths()
        ([0.25, 1.0], ['1'])
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._found: dict[str, torch.Tensor] = {}

    def __enter__(self) -> 'InfiniteMembranes':
        self._handles = [
            module.register_forward_pre_hook(
                lambda module, args, kwargs, path=path: self._look(
                    path, (*args, *kwargs.values())[0]), with_kwargs=True)
            for path, module in neuron_layers(self._model)
        ]
        return self

    def __exit__(self, *args) -> None:
        for handle in self._handles:
            handle.remove()

    def _look(self, path: str, membrane: torch.Tensor) -> None:
        if membrane.dtype == torch.float16:
            bad = membrane.detach().isinf().any()
            self._found[path] = self._found.get(path, bad) | bad

    def any(self) -> torch.Tensor | bool:
        """Whether there is one: a tensor, so that a GPU need not wait.

        Returns:
            Tensor | bool: Of no dimensions, or False if no neuron had
            membrane potentials in float16.
        """
        if not self._found:
            return False
        return torch.stack(list(self._found.values())).any()

    def paths(self) -> list[str]:
        """Paths of the neurons, in the order in which they ran.

        Returns:
            list[str]: Empty if there is none.
        """
        return [path for path, bad in self._found.items() if bad]


def first_not_finite(model: nn.Module, batch, wrapper: OptimWrapper,
                     numbers: RandomNumbers) -> tuple[FirstNotFinite, list]:
    """Run a training step once more, without a change of the model, and look
    where it stops being finite.

    Args:
        model (nn.Module): With ``train_step``.
        batch (Any): What the step was done with.
        wrapper (OptimWrapper): The optimiser's; it is not used.
        numbers (RandomNumbers): Where random numbers were before the step.

    Returns:
        tuple[FirstNotFinite, list[str]]: The layer; and the names of losses
        that are not finite.
    """
    with (without_trace(model, wrapper, update_params=lambda *_, **__: None),
          torch.no_grad(), FirstNotFinite(model) as first):
        numbers.restore()
        losses = model.train_step(batch, optim_wrapper=wrapper)
    bad = [
        name for name, value in losses.items()
        if isinstance(value, torch.Tensor) and not _finite(value)
    ]
    # Their sum is among them.
    return first, [name for name in bad if name != 'loss'] or bad


def wrappers_of(wrapper) -> list[OptimWrapper]:
    """The optimiser wrappers that a wrapper of several has, or is.

    Args:
        wrapper (OptimWrapper | OptimWrapperDict): One, or several by name.

    Returns:
        list[OptimWrapper]: At least one.
    """
    return list(getattr(wrapper, 'optim_wrappers', {None: wrapper}).values())


@contextmanager
def without_trace(model: nn.Module, wrapper,
                  **methods: Callable) -> Iterator[None]:
    """Let a training step change neither buffers nor random numbers, also if
    it fails; gradients are left to the caller.

    Args:
        model (nn.Module): The model.
        wrapper (OptimWrapper | OptimWrapperDict): The optimiser's.
        **methods (Callable): What its methods do instead, at least
            ``update_params``.
    """
    buffers = [x.clone() for x in model.buffers()]
    changed = wrappers_of(wrapper)
    for one in changed:
        vars(one).update(methods)
    try:
        with own_random_numbers():
            yield
    finally:
        for one in changed:
            for name in methods:
                delattr(one, name)
        for now, value in zip(model.buffers(), buffers):
            now.data.copy_(value)


def _finite(value: torch.Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())


def _tensors(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for x in value.values():
            yield from _tensors(x)
    elif isinstance(value, (list, tuple)):
        for x in value:
            yield from _tensors(x)
