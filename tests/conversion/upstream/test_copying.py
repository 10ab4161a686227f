import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.layers import SpikeLinear
from mmsnn.models.dense import make_spiking

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)


class Remembers(nn.Module):
    """Keeps what it made of its last batch, as CondInst's head does."""

    def __init__(self):
        super().__init__()
        self.fc = SpikeLinear(3, 2, neuron=SFA4)
        self.seen = {}

    def forward(self, x):
        out = self.fc(x)
        self.seen = dict(out=[out], twice=out, plain=out.detach())
        return out


def test_a_model_that_keeps_a_graph_is_copied():
    net = Remembers()
    net(torch.rand(2, 3) * 4).sum().backward()
    with pytest.raises(RuntimeError, match='deepcopy protocol'):
        copy.deepcopy(net)
    other = detached_copy(net)
    assert not other.seen['twice'].requires_grad
    assert other.seen['twice'] is other.seen['out'][0]
    assert torch.equal(other.seen['twice'], net.seen['twice'])
    assert other.seen['twice'] is not net.seen['twice']
    assert other.fc.weight.requires_grad
    assert other.fc.weight is not net.fc.weight
    assert net.seen['twice'].requires_grad  # left as it is


def test_it_converts():
    net = Remembers()
    x = torch.rand(2, 3) * 4
    expected = net(x)
    torch.testing.assert_close(to_spike_train(net)(x), expected)


def test_a_spectral_norm_that_has_been_trained():
    torch.manual_seed(0)
    net = make_spiking(
        nn.Sequential(ConvModule(3, 4, 1, with_spectral_norm=True)), SFA4)
    x = torch.rand(1, 3, 4, 4) * 3
    net(x).sum().backward()
    spiking = to_spike_train(net)
    torch.testing.assert_close(spiking(x), net.eval()(x))
