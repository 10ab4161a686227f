"""Neurons are seen to fire, in whatever form, and nothing stays behind."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train, watch_neurons
from mmsnn.conversion.depth import NeuronDepth
from mmsnn.neurons import SFANeuron


class Net(nn.Module):
    """A neuron that fires twice, and one that fires in between."""

    def __init__(self):
        super().__init__()
        self.twice = SFANeuron(max_spikes=2)
        self.once = SFANeuron(max_spikes=3, scale=1.)

    def forward(self, x):
        return self.twice(4 * self.once(self.twice(x)))


# 1 of 2 spikes, times 1/2, is just enough for 1; times 4 is more than 2.
FIRINGS = [('twice', 2, [1.]), ('once', 3, [1.]), ('twice', 2, [2.])]


def watched(model, call):

    def measure(firing):
        counts = firing.counts
        assert not counts.requires_grad
        return firing.path, firing.neuron.max_spikes, counts.tolist()

    with watch_neurons(model, measure) as found:
        call(torch.tensor([1.2], requires_grad=True))
    assert not any(m._forward_hooks for m in model.modules())
    return found


def test_training_form():
    net = Net()
    assert watched(net, net) == FIRINGS


@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
def test_spike_train_forms(form):
    spiking = to_spike_train(Net(), form)
    assert watched(spiking.module, spiking) == FIRINGS


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_what_is_computed_meanwhile_is_in_no_trace(form):
    x = torch.tensor([1.2])
    traces = []
    for measure in (lambda firing: None, lambda firing: firing.counts.exp()):
        spiking = to_spike_train(Net(), form)
        with spiking, watch_neurons(spiking.module, measure):
            spiking(x)  # seen op by op
            spiking(x)  # in form counts: by the plan of the first call
        traces.append(list(spiking.trace))
    assert traces[0] == traces[1] and len(traces[0]) == 4


def test_a_bare_neuron():
    neuron = SFANeuron()
    assert watched(neuron, neuron) == [('', 4, [1.])]


def test_hooks_are_gone_after_an_error():
    neuron = SFANeuron()
    with pytest.raises(KeyError), watch_neurons(neuron, print):
        raise KeyError
    assert not neuron._forward_hooks


class ByKeyword(nn.Module):
    """All it calls gets its input by keyword; ``table`` has other rows than
    there are images."""

    def __init__(self):
        super().__init__()
        self.norm = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.neuron, self.fc = SFANeuron(2), nn.Linear(2, 1)

    def forward(self, table, x):
        y = self.norm[1](input=self.norm[0](input=x))
        return self.fc(input=self.neuron(membrane=y)) + table.sum()


@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
def test_neurons_that_are_called_by_keyword(form):
    net = ByKeyword().eval()
    nn.init.eye_(net.norm[0].weight)
    nn.init.zeros_(net.norm[0].bias)
    x = torch.tensor([[1., 2.], [0., 1.], [2., 2.]])
    spiking = to_spike_train(net, form)
    check = EqualityCheck(net, spiking)
    check.compare(torch.ones(5, 2), x)
    assert check.report.equal and check.report.images == 3
    assert check.report.rows[0].spike_train_spikes == 8
    assert spiking.folded_norms == 1 and not spiking.unfolded
    with watch_neurons(spiking.module, lambda f: f.inputs) as found:
        spiking(torch.ones(5, 2), x)
    (membrane, ), = found
    torch.testing.assert_close(membrane, x, atol=1e-4, rtol=0)
    with NeuronDepth(net) as depth:
        net(torch.ones(5, 2), x)
    assert depth.longest == (2, 1)
