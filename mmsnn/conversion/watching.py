"""Watching the neurons of a model while it runs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from mmsnn.conversion.spikes.forms import SpikingForm
from mmsnn.neurons import SpikingNeuron, is_spiking


@dataclass(frozen=True)
class Firing:
    """One call of a neuron layer.

    Attributes:
        path (str): Its path in the model.
        module (nn.Module): The layer that was called, in whatever form.
        inputs (tuple): What it was given.
        output (Tensor): What it returned, spike counts times the scale.
    """

    path: str
    module: nn.Module
    inputs: tuple
    output: torch.Tensor

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
def watch_neurons(model: nn.Module,
                  then: Callable[[Firing], None]) -> Iterator[None]:
    """Context in which a function is called whenever a neuron has fired.

    Args:
        model (nn.Module): As for :func:`neuron_layers`.
        then (Callable[[Firing], None]): Called without gradient. What it
            computes is in no op trace.

    Example:
        >>> neuron = SpikingNeuron(max_spikes=4)
        >>> with watch_neurons(neuron, lambda firing: print(firing.counts)):
        ...     _ = neuron(torch.tensor([0.5, 3.]))
        tensor([0., 3.])
    """

    def hook(path: str):

        def fired(module, inputs, output):
            unrecorded = module.session.unrecorded() if isinstance(
                module, SpikingForm) else nullcontext()
            with torch.no_grad(), unrecorded:
                then(Firing(path, module, inputs, output))

        return fired

    with ExitStack() as hooks:
        for path, module in neuron_layers(model):
            handle = module.register_forward_hook(hook(path))
            hooks.callback(handle.remove)
        yield
