"""Firing rates of parts of a model, worked out by hand."""

import torch
from torch import nn

from mmsnn.conversion import firing_rates
from mmsnn.neurons import SFANeuron, SpikingNeuron


def test_rates_by_hand():
    parts = nn.ModuleDict(dict(
        sfa=SFANeuron(max_spikes=4), if_=SpikingNeuron(timesteps=2),
        relu=nn.ReLU(), idle=SFANeuron()))
    with firing_rates(parts) as rates:
        # Counts 0, 1, 4, 4 of 4, then 2 of 4: 11 of 20.
        parts['sfa'](torch.tensor([0.2, 1.4, 4., 9.]))
        parts['sfa'](torch.tensor([2.]))
        # Spikes in one of two time steps.
        parts['if_'](torch.tensor([[0.25], [1.5]]))
        parts['relu'](torch.ones(2))
        assert not rates
    assert rates == dict(sfa=11 / 20, if_=1 / 2)
    assert not any(m._forward_hooks for m in parts.modules())
