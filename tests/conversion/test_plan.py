"""Counting by a plan gives what watching every op gives."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.layers import ESDSA, SpikeConv2d
from mmsnn.neurons import SFANeuron

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=3)


class Net(nn.Module):
    """Padded, strided and grouped convolutions, attention, pooling."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = SpikeConv2d(
            16, 16, 3, stride=2, padding=1, groups=4, neuron=NEURON)
        self.attention = ESDSA(16, NEURON, num_heads=2)
        self.third = SpikeConv2d(16, 4, 3, padding=2, neuron=NEURON)

    def forward(self, x):
        x = self.second(self.first(x))
        return self.third(3 * (x + self.attention(x))).mean((2, 3))


def calibrated(seed=0):
    torch.manual_seed(seed)
    net = Net().train()
    for _ in range(10):
        net(2 * torch.randn(4, 3, 9, 7))
    return net.eval()


def test_same_trace_as_watching_every_op():
    net = calibrated()
    batches = [2 * torch.randn(2, 3, 9, 7) for _ in range(3)]
    batches.append(2 * torch.randn(1, 3, 12, 5))
    with to_spike_train(net, 'spikes') as watched:
        expected = [watched(x) for x in batches]
    with to_spike_train(net, 'counts') as planned:
        found = [planned(x) for x in batches]
    assert len(planned._plans) == 2
    for a, b in zip(expected, found):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert watched.trace.images == planned.trace.images == 7
    assert watched.trace.total('sops') > 0
    for a, b in zip(watched.trace, planned.trace):
        assert a == b


class Moody(nn.Module):
    """Does something else on dark images: no plan holds."""

    def __init__(self):
        super().__init__()
        self.neuron = SFANeuron(2)
        self.often = nn.Linear(4, 2)
        self.rarely = nn.Linear(4, 3)

    def forward(self, x):
        layer = self.often if x.sum().item() > 0 else self.rarely
        return layer(self.neuron(x))


def test_no_plan_where_values_decide():
    net = Moody()
    with to_spike_train(net, 'counts') as spiking:
        spiking(torch.ones(1, 4))
        spiking(-torch.ones(1, 4))
    assert not spiking._plans
    assert [r.module for r in spiking.trace if r.kind == 'linear'
            ] == ['often', 'rarely']


class Alternating(nn.Module):
    """Runs a neuron in every other call, which no argument tells."""

    def __init__(self):
        super().__init__()
        self.neurons = nn.ModuleList([SFANeuron(2), SFANeuron(2)])
        self.fc = nn.Linear(4, 2)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.fc(self.neurons[self.calls % 2](x))


def test_a_plan_that_does_not_fit_is_not_used():
    with to_spike_train(Alternating(), 'counts') as spiking:
        for _ in range(4):
            spiking(torch.ones(1, 4))
    assert spiking.trace.images == 4
    assert spiking.trace.total('in_spikes') == 4 * 4  # round(1) = 1 each


def test_nothing_is_counted_when_a_call_fails():
    net = calibrated()
    with to_spike_train(net, 'counts') as spiking:
        spiking(torch.ones(1, 3, 9, 7))
        before = spiking.trace.total('sops')
        with pytest.raises(ValueError, match='NaN'):
            spiking(torch.full((1, 3, 9, 7), float('nan')))
        assert spiking.trace.total('sops') == before
        assert spiking.trace.images == 1
        spiking(torch.ones(1, 3, 9, 7))
        assert spiking.trace.total('sops') == 2 * before
