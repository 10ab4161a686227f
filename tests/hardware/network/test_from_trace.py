"""The network that a mapper gets from a trace, against hand-worked ones."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import network_from_trace
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpRecord, OpTrace

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2)


def network(model, *batches, form='counts'):
    with to_spike_train(model.eval(), form) as spiking:
        for x in batches:
            spiking(x)
    return network_from_trace(spiking.trace), spiking.trace


def populations(net):
    return {p.name: (p.kind, p.shape) for p in net.populations}


def edges(net):
    return {(p.name, p.op, p.source, p.target) for p in net.projections}


class Residual(nn.Module):

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, padding=1)
        self.f = SpikeConv2d(2, 2, 3, padding=1, neuron=NEURON)
        self.head = SpikeConv2d(2, 5, 1, neuron=NEURON)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.f(x))


def test_a_residual_ends_where_the_sum_fires():
    net, trace = network(Residual(), torch.rand(3, 1, 4, 6))
    assert populations(net) == {
        'input': ('input', (1, 4, 6)),
        'f.neuron': ('neuron', (2, 4, 6)),
        'head.neuron': ('neuron', (2, 4, 6)),
        'head': ('real', (5, 4, 6))
    }
    assert edges(net) == {
        ('stem', 'conv', 'input', 'f.neuron'),
        ('f', 'conv', 'f.neuron', 'head.neuron'),
        ('(model)', 'residual', 'f.neuron', 'head.neuron'),
        ('head', 'conv', 'head.neuron', 'head'),
    }
    by_name = {p.name: p for p in net.projections}
    assert by_name['(model)'].adds == 2 * 4 * 6
    assert by_name['stem'].macs == 2 * 4 * 6 * 9
    f = by_name['f']
    assert f.geometry.in_shape == f.geometry.out_shape == (2, 4, 6)
    assert (f.geometry.kernel, f.geometry.padding) == ((3, 3), (1, 1))
    assert f.weights == 2 * 2 * 9
    # Of an axis of n, 3n - 2 connections.
    assert f.synapses == 4 * (3 * 4 - 2) * (3 * 6 - 2)
    assert f.total_sops == pytest.approx(trace.per_image('sops') -
                                         by_name['head'].total_sops)
    assert net.images == 3


class Pyramid(nn.Module):
    """Two levels, a sum that is read twice, and a head that both share."""

    def __init__(self):
        super().__init__()
        self.fine = SpikeConv2d(1, 2, 1, neuron=NEURON)
        self.coarse = SpikeConv2d(1, 2, 2, stride=2, neuron=NEURON)
        self.head = SpikeConv2d(2, 3, 1, neuron=NEURON)

    def forward(self, x):
        coarse = self.coarse(x)
        fine = self.fine(x) + nn.functional.interpolate(coarse, scale_factor=2)
        return self.head(fine), self.head(coarse)


def test_levels_that_share_a_head():
    net, _ = network(Pyramid(), torch.rand(1, 1, 4, 4))
    found = populations(net)
    assert found['head.neuron'] == ('neuron', (2, 4, 4))
    assert found['head.neuron#2'] == ('neuron', (2, 2, 2))
    # The coarse membrane is read by a sum that fires first.
    assert found['coarse'] == ('real', (2, 2, 2))
    assert ('(model)', 'residual', 'coarse', 'head.neuron') in edges(net)
    assert ('head.neuron', 'residual', 'coarse', 'head.neuron#2') in edges(net)


class Concatenated(nn.Module):

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1)
        self.fire = nn.ModuleList([SFANeuron(2), SFANeuron(2)])
        self.last = nn.Conv2d(5, 4, 1)

    def forward(self, x):
        return self.last(torch.cat([self.fire[0](self.a(x)),
                                    self.fire[1](self.b(x))], 1))


def test_concatenated_spikes():
    torch.manual_seed(0)
    net, trace = network(Concatenated(), 3 * torch.rand(1, 1, 4, 4))
    a, b = [p for p in net.projections if p.name == 'last']
    assert (a.source, a.source_offset, a.weights) == ('fire.0', 0, 8)
    assert (b.source, b.source_offset, b.weights) == ('fire.1', 2, 12)
    assert a.total_sops == 4 * net['fire.0'].total_spikes > 0
    assert b.total_sops == 4 * net['fire.1'].total_spikes > 0


def test_over_time():
    neuron = dict(type='mmsnn.LIFNeuron', timesteps=3)

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = SpikeConv2d(2, 4, 3, padding=1, neuron=neuron)
            self.fc = SpikeLinear(4, 5, neuron=neuron)

        def forward(self, x):
            x = self.conv(x.flatten(0, 1)).mean((2, 3))
            return self.fc(10 * x.abs()).unflatten(0, (-1, 3)).mean(1)

    net, trace = network(Net(), 3 * torch.rand(2, 3, 2, 4, 4))
    first = net['conv.neuron']
    assert (first.shape, first.timesteps, first.max_spikes) == (
        (2, 4, 4), 3, 1)
    assert len(first.spikes) == 3 and sum(first.spikes) > 0
    assert net['input'].shape == (2, 4, 4)
    fc = next(p for p in net.projections if p.name == 'fc')
    assert (fc.geometry.in_shape, fc.geometry.out_shape) == ((4, ), (5, ))
    assert fc.synapses == 20
    assert sum(p.total_sops for p in net.projections) == pytest.approx(
        trace.per_image('sops'))


def test_tokens_keep_the_positions_of_their_source():
    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron, self.fc = SFANeuron(2), nn.Linear(2, 3)

        def forward(self, x):
            return self.fc(self.neuron(x).flatten(2).transpose(1, 2))

    net, _ = network(Net(), 2 * torch.rand(1, 2, 4, 5))
    fc, = [p for p in net.projections if p.name == 'fc']
    assert fc.geometry.in_shape == (2, 4, 5)
    assert fc.geometry.out_shape == (3, 4, 5)
    assert fc.synapses == 20 * 6


class Foreign(nn.Module):

    def __init__(self):
        super().__init__()
        self.first = SpikeLinear(2, 2, neuron=NEURON)
        self.second = SpikeLinear(2, 2, neuron=NEURON)

    def forward(self, x):
        return self.second(torch.from_numpy(3 + self.first(x).numpy()))


def test_an_unknown_source_is_named_by_its_module():
    net, _ = network(Foreign(), torch.ones(1, 2))
    found = populations(net)
    assert found['unknown (second.neuron)'] == ('input', (2, ))
    assert ('second.neuron', 'residual', 'unknown (second.neuron)',
            'second.neuron') in edges(net)


@pytest.mark.parametrize('trace, message', [
    (OpTrace(), 'holds no image'),
    (OpTrace([OpRecord('stem', 'conv', 'convolution', macs=1)], 1),
     'no spiking neuron'),
    (OpTrace([OpRecord('n', 'neuron', 'neuron', neurons=1)], 1), 'no edges'),
])
def test_what_can_not_be_mapped(trace, message):
    with pytest.raises(ValueError, match=message):
        network_from_trace(trace)


def test_images_of_several_sizes():
    with pytest.raises(ValueError, match='1 x 4 x 4, 1 x 6 x 4.*one size'):
        network(Residual(), torch.rand(1, 1, 4, 4), torch.rand(1, 1, 6, 4))
