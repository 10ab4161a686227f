"""Watching the neurons of a model while it runs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mmsnn.conversion.spikes.forms import SpikingForm
from mmsnn.conversion.spikes.spike_tensor import decode
from mmsnn.neurons import SpikingNeuron, is_spiking


@dataclass(frozen=True)
class Firing:
    """One call of a neuron layer.

    Attributes:
        path (str): Its path in the model.
        module (nn.Module): The layer that was called, in whatever form.
        inputs (tuple): What it was given, by keyword or not.
        output (Tensor): What it returned, spike counts times the scale.
        before (Any): What was computed before it fired, None if nothing.
    """

    path: str
    module: nn.Module
    inputs: tuple
    output: torch.Tensor
    before: Any = None

    @property
    def neuron(self) -> SpikingNeuron:
        """The neuron in training form: it knows T, D and the scale."""
        if isinstance(self.module, SpikingForm):
            return self.module.neuron
        return self.module

    @property
    def counts(self) -> torch.Tensor:
        """Spike counts of whole time steps, 0..D, (N * T, ...)."""
        if isinstance(self.module, SpikingForm):
            return self.module.counts(self.output)
        return (self.output / self.module.scale).round()


def neuron_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Path and module of each neuron layer, in training or spike-train form.

    Args:
        model (nn.Module): A model in training form, or the ``module`` of a
            :class:`~mmsnn.conversion.SpikeTrainModel`.

    Yields:
        tuple[str, nn.Module]: In the order of ``model.named_modules()``.

    Example:
        >>> from mmsnn.layers import SpikeLinear
        >>> fc = SpikeLinear(1, 1, neuron=dict(type='mmsnn.SFANeuron'))
        >>> dict(neuron_layers(fc))
        {'neuron': SFANeuron(max_spikes=4, scale=0.25, threshold=1)}
    """
    inside = set()  # what a spiking form holds is no layer of its own
    for path, module in model.named_modules():
        if isinstance(module, SpikingForm):
            inside.add(module.neuron)
            yield path, module
        elif is_spiking(module) and module not in inside:
            yield path, module


@contextmanager
def watch_neurons(
    model: nn.Module,
    measure: Callable[[Firing], Any],
    first: Callable[[SpikingNeuron, torch.Tensor], Any] | None = None
) -> Iterator[list]:
    """Context in which a function is called whenever a neuron has fired.

    A converted model may give a run up, since a fold or a plan turns out
    wrong, and run the call once more. What is to be counted is what
    ``measure`` returns: that of runs that were given up is dropped.

    Args:
        model (nn.Module): As for :func:`neuron_layers`.
        measure (Callable[[Firing], Any]): Called without gradient. What it
            computes is in no op trace. Tensors of the firing may be
            overwritten later.
        first (Callable, optional): Called before a neuron fires, with the
            neuron in training form and its membranes, which it may overwrite
            when it fires. What it returns is ``before`` of the firing.
            Defaults to None.

    Yields:
        list: What ``measure`` has returned so far, in the order of the
        firings.

    Example:
        >>> neuron = SpikingNeuron(max_spikes=4)
        >>> with watch_neurons(neuron, lambda firing: firing.counts) as found:
        ...     _ = neuron(torch.tensor([0.5, 3.]))
        >>> found
        [tensor([0., 3.])]
    """
    found: list = []

    def hooks(path: str):
        before = []  # of calls that have not ended

        def fires(module, args, kwargs):
            membrane = (*args, *kwargs.values())[0]
            spikes = isinstance(module, SpikingForm)
            with _aside(module):
                before.append(
                    first(module.neuron if spikes else module,
                          decode(membrane)))

        def fired(module, args, kwargs, output):
            inputs = (*args, *kwargs.values())
            early = before.pop() if before else None
            if isinstance(module, SpikingForm) and not module.session.final:
                return  # free running, before the last sub-step
            with _aside(module):
                found.append(
                    measure(Firing(path, module, inputs, output, early)))

        return fires, fired

    with ExitStack() as watched:
        for session in {m.session for _, m in neuron_layers(model)
                        if isinstance(m, SpikingForm)}:
            watched.enter_context(session.keeps(found))
        for path, module in neuron_layers(model):
            fires, fired = hooks(path)
            if first is not None:
                handle = module.register_forward_pre_hook(
                    fires, with_kwargs=True)
                watched.callback(handle.remove)
            handle = module.register_forward_hook(fired, with_kwargs=True)
            watched.callback(handle.remove)
        yield found


@contextmanager
def _aside(module: nn.Module) -> Iterator[None]:
    """Context in which what is computed is in no trace and no gradient."""
    unrecorded = module.session.unrecorded() if isinstance(
        module, SpikingForm) else nullcontext()
    with torch.no_grad(), unrecorded:
        yield
