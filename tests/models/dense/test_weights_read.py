"""Code that reads the weights of a layer past its neuron is found."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.models.dense import make_spiking
from mmsnn.models.dense.weights_read import weights_read

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)


class Base(nn.Module):

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.parts = nn.ModuleList([nn.Sequential(nn.Conv2d(2, 2, 1))])
        self.init_weights()

    def init_weights(self):
        nn.init.ones_(self.conv.weight)


class Past(Base):

    def forward(self, x):
        return F.conv2d(x, self.conv.weight)


class Deep(Base):

    def helper(self, x):
        return x * self.parts[0][0].weight.sum()

    def forward(self, x):
        return self.helper(self.conv(x))


class Aliased(Base):

    def forward(self, x):
        conv = self.conv
        return F.conv2d(x, conv.weight)


class Looped(Base):

    def forward(self, x):
        for i, part in enumerate(self.parts):
            x = F.conv2d(x, part[0].weight) * i
        return x


class Indexed(Base):

    def forward(self, x, i=0):
        return sum(F.conv2d(x, p.weight) for p in self.parts[i])


class Zipped(Base):

    def forward(self, x):
        for scale, part in zip((1, 2), self.parts):
            for _, layer in part.named_children():
                x = x * layer.weight.mean() * scale
        return x


class Fine(Base):

    def forward(self, x):
        x = x.to(self.conv.weight.dtype)
        kernel = self.conv.weight.shape[-1]
        return self.conv(x) * kernel + self.conv.weight.new_zeros(1)


@pytest.mark.parametrize('kind,found', [
    (Past, [('forward', 'conv')]), (Deep, [('helper', 'parts.0.0')]),
    (Aliased, [('forward', 'conv')]), (Looped, [('forward', 'parts.0.0')]),
    (Indexed, [('forward', 'parts.0.0')]),
    (Zipped, [('forward', 'parts.0.0')]),
    (Fine, []), (Base, []), (nn.MultiheadAttention, [])])
def test_reads(kind, found):
    module = kind(4, 2) if kind is nn.MultiheadAttention else kind()
    reads = list(weights_read(module))
    if kind is not nn.MultiheadAttention:  # PyTorch's own code is not read
        assert reads == found
    else:
        assert not reads


@pytest.mark.parametrize('kind,method,path', [
    (Past, 'forward', '0.conv'), (Deep, 'helper', '0.parts.0.0')])
def test_a_read_past_a_neuron_is_refused(kind, method, path):
    with pytest.raises(TypeError, match=f'^0: {kind.__name__}.{method} reads '
                       f'the weights of {path}, past its neuron; .* name '
                       f"'{path}' in keep_real"):
        make_spiking(nn.Sequential(kind()), SFA4)
    net = make_spiking(nn.Sequential(kind()), SFA4, keep_real=[path])
    x = torch.rand(1, 2, 2, 2)
    assert net(x).shape == x.shape
    assert type(net.get_submodule(path)) is nn.Conv2d


def test_facts_of_weights_may_be_read():
    net = make_spiking(Fine(), SFA4)
    assert type(net.conv) is SpikeConv2d


def test_a_known_module_that_reads_weights_has_a_default():
    """BEiT multiplies by ``qkv.weight`` itself, with a bias of its own."""
    attention = partial(
        pytest.importorskip('mmpretrain.models.utils').BEiTAttention,
        embed_dims=8, num_heads=2, window_size=(2, 2), use_rel_pos_bias=False)
    net = make_spiking(nn.Sequential(attention()), SFA4)
    assert type(net[0].qkv) is nn.Linear
    assert isinstance(net[0].proj, SpikeLinear)
    assert net(torch.rand(2, 5, 8)).shape == (2, 5, 8)
    with pytest.raises(TypeError, match=r'products stay real in 0.qkv '
                       r'\(Linear: BEiTAttention.forward reads its weights'):
        make_spiking(nn.Sequential(attention()), SFA4, strict=True)
