"""Assignments into spikes are refused while a call is recorded, too."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import UnclassifiedOpError, to_spike_train
from mmsnn.neurons import SFANeuron

OUTSIDE = torch.zeros(3)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('where, value', [
    (0, 0.), ((slice(None), 1), 0.25), (..., 0.), (0, OUTSIDE),
    (OUTSIDE > 1, 0.), (torch.tensor([1]), 0.)
])
def test_item_of_spikes(form, where, value):

    class Assigns(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron()
            self.linear = nn.Linear(3, 2)

        def forward(self, x):
            spikes = self.neuron(x).clone()
            if isinstance(where, torch.Tensor) and where.dtype == torch.bool:
                spikes[:, where] = value
            else:
                spikes[where] = value
            return self.linear(spikes)

    with to_spike_train(Assigns().eval(), form) as spiking, pytest.raises(
            UnclassifiedOpError, match='would change spikes in place'):
        spiking(torch.ones(2, 3))
