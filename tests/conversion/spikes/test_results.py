"""What leaves a converted model are plain tensors, whatever holds them."""

import collections
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from mmsnn.conversion import SpikeTensor, to_spike_train
from mmsnn.conversion.spikes.results import decode_results
from mmsnn.neurons import SFANeuron

Pair = collections.namedtuple('Pair', 'first second')


@dataclasses.dataclass(frozen=True)
class Frozen:
    fired: torch.Tensor


class Plain:

    def __init__(self, fired):
        self.inside = dict(fired=fired)


def sample(fired):
    found = BaseDataElement(metainfo=dict(img_id=3))
    found.fired = fired
    return [found]


HOLDERS = {
    'itself': (lambda x: x, lambda x: x),
    'list': (lambda x: [x, 1], lambda x: x[0]),
    'tuple': (lambda x: (1, (x, )), lambda x: x[1][0]),
    'named tuple': (lambda x: Pair(1, x), lambda x: x.second),
    'dict': (lambda x: dict(a=[x]), lambda x: x['a'][0]),
    'ordered': (lambda x: collections.OrderedDict(a=x), lambda x: x['a']),
    'dataclass': (Frozen, lambda x: x.fired),
    'object': (Plain, lambda x: x.inside['fired']),
    'data sample': (sample, lambda x: x[0].fired),
    'twice': (lambda x: [[x]] * 2, lambda x: x[1][0]),
}


class Net(nn.Module):

    def __init__(self, hold):
        super().__init__()
        self.fire = nn.Sequential(SFANeuron(4))
        self.hold = hold

    def forward(self, x):
        return self.hold(self.fire(x))


@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
@pytest.mark.parametrize('holder', HOLDERS)
def test_a_model_that_ends_in_a_neuron(form, holder):
    hold, find = HOLDERS[holder]
    spiking = to_spike_train(Net(hold), form)
    x = torch.tensor([[0.2, 1.4, 7.]])
    out = spiking(x)
    found = find(out)
    assert type(found) is torch.Tensor
    assert found.numpy().tolist() == [[0., 0.25, 1.]]
    # Kinds of containers stay.
    assert type(out) is type(hold(x))


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_recorded_and_counted_calls_give_the_same(form):
    spiking = to_spike_train(Net(HOLDERS['dict'][0]), form)
    x = torch.tensor([[0.2, 1.4, 7.]])
    with spiking:
        outs = [spiking(x)['a'][0] for _ in range(3)]
    assert [type(y) for y in outs] == [torch.Tensor] * 3
    assert [y.tolist() for y in outs] == [[[0., 0.25, 1.]]] * 3


def test_what_holds_itself():
    spikes = SpikeTensor([torch.ones(2)], 1., 1, False)
    found = [spikes]
    found.append(found)
    out = decode_results(found)
    assert type(out[0]) is torch.Tensor
    untouched = [torch.ones(1), dict(a=1)]
    assert decode_results(untouched) is untouched


def test_spikes_inside_a_model_can_be_looked_at():
    trains = [torch.tensor([1., 1.]), torch.tensor([0., 1.])]
    spikes = SpikeTensor(trains, 0.5, 2, True)
    assert spikes.numpy().tolist() == spikes.tolist() == [0.5, 1.]
    assert np.asarray(spikes).dtype == np.float32
    assert np.array(spikes, dtype=np.float64).tolist() == [0.5, 1.]
    assert f'{spikes[0]:.2f}' == '0.50' and 'trains' in f'{spikes}'
    assert pickle.loads(pickle.dumps(decode_results(spikes))).sum() == 1.5


def test_looking_at_spikes_costs_nothing():

    class Looking(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron, self.fc = SFANeuron(4), nn.Linear(3, 2)

        def forward(self, x):
            x = self.neuron(x)
            assert x.numpy().max() <= 1 and f'{x[0, 0]:.1f}'
            return self.fc(x)

    for form in ('spikes', 'counts'):
        with to_spike_train(Looking(), form) as spiking:
            spiking(torch.tensor([[0.2, 1.4, 7.]]))
        assert [r.kind for r in spiking.trace] == ['neuron', 'linear']
        assert spiking.trace.total('sops') == 2 * 5
