"""Spikes that are moved about stay spikes; others cost MACs."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.neurons import SFANeuron

FORMS = ['spikes', 'counts']


class Moved(nn.Module):
    """Spikes that are rearranged on their way to a linear layer."""

    def __init__(self, move, features):
        super().__init__()
        self.neuron = SFANeuron(3)
        self.move = move
        self.fc = nn.Linear(features, 2)

    def forward(self, x):
        return self.fc(self.move(self.neuron(x)))


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('move', [
    lambda x: x[[0, 0]],
    lambda x: x[[1, 0]],
    lambda x: x.flip(1),
    lambda x: x.roll(1, 0),
    lambda x: x[1:],
    lambda x: x.t().t(),
    lambda x: x.reshape(4, 3).reshape(2, 6),
    lambda x: F.pad(x, (1, -1)),
    lambda x: F.pad(x, (-1, 1)),
    lambda x: torch.cat([x, x]),
    lambda x: torch.stack(x.unbind(1), 1),
    lambda x: torch.cat(x.split(3, dim=1)[::-1], 1),
    lambda x: x.index_select(0, torch.tensor([1, 1])),
    lambda x: x.gather(1, torch.tensor([[0] * 6, [5] * 6])),
    lambda x: F.interpolate(x[None], size=6)[0],
    lambda x: F.interpolate(x[None], size=6, mode='nearest-exact')[0],
    lambda x: F.interpolate(x[None, None], size=(1, 12)).reshape(2, 6),
    lambda x: x.repeat(3, 1),
    lambda x: x[:1].expand(4, 6),
    lambda x: x.to(torch.float32).contiguous().clone(),
])
def test_rearranged_spikes_stay_spikes(form, move):
    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    model = Moved(move, 6)
    counts = move(model.neuron(x)) * 3
    with to_spike_train(model, form) as spiking:
        for _ in range(2):
            torch.testing.assert_close(spiking(x), model(x))
    fc = list(spiking.trace)[-1]
    assert fc.spiking and fc.macs == 0
    assert fc.in_spikes == 2 * counts.sum().round()
    assert fc.sops == 2 * fc.in_spikes


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('move', [
    lambda x: x + 1, lambda x: x * 0.5, lambda x: x.softmax(1),
    lambda x: F.pad(x, (1, -1), value=1.),
    lambda x: torch.cat([x[:1], torch.ones(1, 6)])])
def test_what_is_no_longer_spikes_costs_macs(form, move):
    x = torch.tensor([[0., 1, 2, 3, 4, 5], [1, 1, 0, 0, 2, 0]])
    model = Moved(move, 6)
    with to_spike_train(model, form) as spiking:
        torch.testing.assert_close(spiking(x), model(x))
    fc = list(spiking.trace)[-1]
    assert not fc.spiking and fc.macs == 2 * 6 * 2 and fc.sops == 0
    assert fc.note == 'its input is real values, not spikes'
    assert fc in spiking.trace.audit()


@pytest.mark.parametrize('form', FORMS)
def test_one_layer_on_spikes_and_on_real_values(form):

    class Both(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(4)
            self.fc = nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(self.neuron(x)), self.fc(x)

    with to_spike_train(Both(), form) as spiking:
        spiking(torch.tensor([[1., 2., 9.]]))
    found = {r.spiking: r for r in spiking.trace if r.module == 'fc'}
    assert found[True].sops == 2 * 7 and found[True].macs == 0
    assert found[False].macs == 6 and found[False].sops == 0
    assert found[False] in spiking.trace.audit()
