"""Firing rates of parts of a model."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import nn

from mmsnn.neurons import spikes_per_substep

from .watching import Firing, watch_neurons


@contextmanager
def firing_rates(parts: Mapping[str, nn.Module]) -> Iterator[dict[str, float]]:
    """Count spikes while a model runs, without converting it.

    Args:
        parts (Mapping[str, nn.Module]): Parts of the model by name, e.g. its
            stages.

    Yields:
        dict[str, float]: Filled when the context ends: of each part whose
        neurons fired, spikes over neurons and sub-steps (T x D), from 0 to 1.
        That is the mean over sub-steps of the network spike firing rate
        (paper, section 5.3).

    Example:
        >>> from mmsnn.layers import SpikeConv2d
        >>> conv = SpikeConv2d(
        ...     1, 1, 1, neuron=dict(type='mmsnn.SFANeuron', max_spikes=4))
        >>> import torch
        >>> with firing_rates(dict(conv=conv)) as rates:
        ...     _ = conv(torch.tensor([[[[1., 3.]]]]))
        >>> rates  # 1 and 3 of 4 spikes
        {'conv': 0.5}
    """
    rates: dict[str, float] = {}

    def count(firing: Firing) -> tuple[int, int]:
        """Spikes, and the most that there could be."""
        neuron, output = firing.neuron, firing.output
        spikes = spikes_per_substep(output, neuron.max_spikes, neuron.scale)
        return sum(spikes), output.numel() * neuron.max_spikes

    with ExitStack() as watched:
        found = {
            name: watched.enter_context(watch_neurons(part, count))
            for name, part in parts.items()
        }
        yield rates
    for name, counted in found.items():
        spikes, most = (sum(x) for x in zip(*counted, (0, 0)))
        if most:
            rates[name] = spikes / most
