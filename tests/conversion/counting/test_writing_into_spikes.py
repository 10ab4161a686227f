"""Assignments into spikes are refused while a call is recorded, too."""

import contextlib

import numpy as np
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


class Shows(nn.Module):

    def __init__(self, show, again):
        super().__init__()
        self.neuron, self.linear = SFANeuron(), nn.Linear(3, 2)
        self.show, self.again = show, again

    def forward(self, x):
        spikes = self.neuron(x)
        self.show(spikes)[0] = 0
        return self.linear(spikes) if self.again == 'op' else spikes


@pytest.mark.parametrize('again', ['op', 'returned'])
@pytest.mark.parametrize('show', [
    torch.Tensor.numpy, np.asarray, torch.from_dlpack,
    lambda x: x.detach().numpy(), lambda x: x[:, 1:].numpy(),
    lambda x: x.view(-1).numpy()])
@pytest.mark.parametrize('recorded', [True, False])
@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_arrays_that_share_memory_with_spikes(form, recorded, show, again):
    spiking = to_spike_train(Shows(show, again).eval(), form)
    with spiking if recorded else contextlib.nullcontext(), pytest.raises(
            UnclassifiedOpError, match='written into, which would change'):
        spiking(torch.ones(2, 3))


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_copies_of_them_and_arrays_that_nobody_reads_again(form):
    model = Shows(lambda x: x.numpy().copy(), 'op').eval()
    spiking = to_spike_train(model, form)
    x = torch.tensor([[0.5, 1., 3.], [2., 0., 9.]])
    torch.testing.assert_close(spiking(x), model(x))
    model = Shows(lambda x: {}, 'op').eval()
    model.linear.register_forward_hook(
        lambda layer, given, _: given[0].numpy().fill(7))
    expected = model.linear(SFANeuron()(x))
    torch.testing.assert_close(to_spike_train(model, form)(x), expected)
