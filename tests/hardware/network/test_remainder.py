"""What of a trace is in the network, and what is named beside it."""

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.conversion.counting.module_path import is_postprocessing
from mmsnn.hardware import estimate, network_from_trace
from mmsnn.hardware.network.trace_graph import CONSTANT, RESULTS, SAME
from mmsnn.hardware.tables import format_chip
from mmsnn.layers import SpikeConv2d
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpRecord, OpTrace

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2)


def recorded(model, *x):
    with to_spike_train(model.eval(), 'counts') as spiking:
        spiking(*x)
    return spiking.trace


def amounts(network):
    """Additions by spikes, multiply-accumulates and other operations."""
    parts = [(p.total_sops, p.macs, p.adds) for p in network.projections]
    parts += [(r.sops, r.macs, r.adds) for r in network.remainder]
    return [network.runs * sum(column) for column in zip(*parts)]


def expected(trace):
    return pytest.approx([
        sum(sum(getattr(r, name) for name in names)
            for r in trace) / trace.images
        for names in (('sops', ), ('macs', ),
                      ('adds', 'comparisons', 'other'))
    ])


class Predicting(nn.Module):
    """A functional synapse in a method that upstream's heads have, too."""

    def __init__(self):
        super().__init__()
        self.stem, self.neuron = nn.Linear(6, 6), SFANeuron(4)
        self.w = nn.Parameter(torch.randn(5, 6))
        self.last_neuron, self.last = SFANeuron(4), nn.Linear(5, 2)

    def predict(self, x):
        return F.linear(self.neuron(4 * self.stem(x)), self.w)

    def forward(self, x):
        return self.last(self.last_neuron(3 * self.predict(x)))


def test_predict_of_a_model_of_ones_own_is_in_the_network():
    torch.manual_seed(0)
    trace = recorded(Predicting(), torch.randn(3, 6))
    assert not any(r.postprocess for r in trace)
    network = network_from_trace(trace)
    assert not network.remainder
    assert amounts(network) == expected(trace)
    assert sum(p.total_sops for p in network.projections) == pytest.approx(
        trace.per_image('sops'))
    assert len([p for p in network.projections if p.total_sops]) == 2


def test_whose_predict_it_is():
    mmseg = pytest.importorskip('mmseg.models')
    heads = mmseg.decode_heads

    class Own(heads.FCNHead):

        def predict_by_feat(self, logits, metas):
            return logits

    assert is_postprocessing(
        Own(in_channels=4, channels=4, num_classes=2), 'predict_by_feat')
    assert is_postprocessing(
        Own(in_channels=4, channels=4, num_classes=2), 'predict')
    assert not is_postprocessing(Predicting(), 'predict')
    assert not is_postprocessing(nn.Linear(2, 2), 'predict')


def head_with_postprocess():
    """Neuron, convolution; and 7 additions by spikes in a head's predict."""
    trace = OpTrace([
        OpRecord('neuron', 'neuron', 'neuron', neurons=8, max_spikes=2,
                 spikes=[3, 1], output_shape=(1, 8), input_shape=(1, 8)),
        OpRecord('fc', 'linear', 'mm', spiking=True, sops=12, in_spikes=4,
                 weights=24, synapses=24, input_shape=(1, 8),
                 output_shape=(1, 3)),
        OpRecord('head', 'linear', 'mm', spiking=True, sops=7, in_spikes=4,
                 postprocess=True, input_shape=(1, 8), output_shape=(1, 2)),
        OpRecord('head', 'real', 'sort', comparisons=9, postprocess=True,
                 output_shape=(1, 2)),
    ], 1)
    keys = list(trace._records)
    for key, sources in zip(keys, (['input'], keys[:1], keys[:1],
                                   keys[2:3])):
        trace.connect(key, sources)
    return trace


def test_what_a_head_does_with_results_is_named():
    trace = head_with_postprocess()
    network = network_from_trace(trace)
    rest, = network.remainder
    assert (rest.module, rest.reason, rest.ops, rest.sops, rest.adds) == (
        'head', RESULTS, 2, 7, 9)
    assert amounts(network) == expected(trace)
    sentence = ('Not on the cores, 2 ops of head that work on results (boxes, '
                'scores): 7 additions by spikes, 9 operations per image.')
    assert sentence in network.notes
    result = estimate(network, 'loihi').on_chip[0]
    assert sentence in result.assumptions
    assert 'head: 7 additions by spikes per image run outside the cores' in (
        format_chip(result))


class Constants(nn.Module):
    """Weights that are computed, sums of two synapses, a branch."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.a = SpikeConv2d(4, 4, 3, padding=1, neuron=NEURON)
        self.b = SpikeConv2d(4, 4, 1, neuron=NEURON)
        self.w = nn.Parameter(torch.randn(4, 4, 1, 1))
        self.neuron = SFANeuron(2)

    def forward(self, x):
        x = self.stem(x)
        x = self.a(x) + self.b(x)
        return F.conv2d(self.neuron(x), self.w - self.w.mean())


def test_constants_and_sums_of_one_membrane_are_named():
    torch.manual_seed(0)
    trace = recorded(Constants(), torch.randn(2, 1, 6, 6))
    network = network_from_trace(trace)
    assert amounts(network) == expected(trace)
    found = {r.reason: r for r in network.remainder}
    # The mean of 16 weights (16 additions, 1 division), and 16 differences,
    # in a call of two images; a sum of 4 x 4 x 4 membranes.
    assert found[CONSTANT].adds == (16 + 1 + 16) / 2
    assert found[SAME].adds == 64
    assert set(found) == {CONSTANT, SAME}
    assert all(p.kind != 'real' or p.name in ('stem', '(model)')
               for p in network.populations)


class Random(nn.Module):
    """Synapses, sums, slices, pools and real ops in random order."""

    def __init__(self, rng):
        super().__init__()
        self.parts, self.steps = nn.ModuleList(), []

        def part(module):
            self.parts.append(module)
            return len(self.parts) - 1

        self.steps.append(part(nn.Conv2d(2, 4, 3, padding=1)))
        for _ in range(rng.randint(3, 6)):
            self.steps.append(part(SFANeuron(rng.choice([1, 2, 4]))))
            kind = rng.randrange(7)
            if kind == 0:
                self.steps.append(lambda s: F.max_pool2d(s, 2, 1))
            if kind == 1:
                self.steps.append(lambda s: torch.cat(
                    [s.chunk(2, 1)[1], s.chunk(2, 1)[0]], 1))
            self.steps.append(part(nn.Conv2d(
                4, 4, rng.choice([1, 3]), padding=1)))
            if kind == 2:
                self.steps.append(lambda x: x + x.flip(-1))
            if kind == 3:
                self.steps.append(lambda x: F.avg_pool2d(x, 2, 1) * 1.5)
            if kind == 4:
                self.steps.append(
                    lambda x: x * torch.arange(4.).view(1, 4, 1, 1).cos())
            if kind == 5:
                self.steps.append(lambda x: x / x.abs().amax())

    def forward(self, x):
        for step in self.steps:
            x = self.parts[step](x) if isinstance(step, int) else step(x)
        return x


@pytest.mark.parametrize('seed', range(20))
def test_network_and_remainder_are_the_trace(seed):
    torch.manual_seed(seed)
    model = Random(random.Random(seed))
    for module in model.parts:
        if isinstance(module, nn.Conv2d):
            module.weight.data *= 3
    trace = recorded(model, 3 * torch.randn(2, 2, 6, 7))
    assert trace.total('sops')
    assert amounts(network_from_trace(trace)) == expected(trace)
