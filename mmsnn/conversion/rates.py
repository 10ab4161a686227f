"""Firing rates of parts of a model in training form."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from mmsnn.neurons import is_spiking, spikes_per_substep


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
        >>> with firing_rates(dict(conv=conv)) as rates:
        ...     _ = conv(torch.tensor([[[[1., 3.]]]]))
        >>> rates  # 1 and 3 of 4 spikes
        {'conv': 0.5}
    """
    rates: dict[str, float] = {}
    spikes = dict.fromkeys(parts, 0)
    most = dict.fromkeys(parts, 0)

    def count(name):

        def hook(neuron, args, counts):
            with torch.no_grad():
                spikes[name] += sum(
                    spikes_per_substep(counts, neuron.max_spikes,
                                       neuron.scale))
            most[name] += counts.numel() * neuron.max_spikes

        return hook

    with ExitStack() as hooks:
        for name, part in parts.items():
            for module in part.modules():
                if is_spiking(module):
                    handle = module.register_forward_hook(count(name))
                    hooks.callback(handle.remove)
        yield rates
    rates.update({
        name: spikes[name] / most[name]
        for name in parts if most[name]
    })
