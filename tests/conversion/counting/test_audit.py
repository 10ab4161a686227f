"""What a trace says of whole models, and whom it names."""

import copy

import pytest
import torch
from torch import nn

from mmsnn.conversion import UnclassifiedOpError, fold_norms, to_spike_train
from mmsnn.layers import SpikeConv2d
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpTrace

FORMS = ['spikes', 'counts']
NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)


def record(spiking, *batches):
    with spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


def test_trace_totals_of_the_classifier(classifiers, make_images):
    model = classifiers(4)
    spiking = to_spike_train(model)
    trace = record(spiking, make_images(2))
    # 5 downsamples, 3 conv blocks of 5 convs, 2 transformer blocks of 9
    assert spiking.folded_norms == 5 + 15 + 18
    assert not any(r.kind == 'norm' for r in trace)
    assert trace.images == 2
    assert trace.per_image('sops') == trace.total('sops') / 2
    neurons = [r for r in trace if r.kind == 'neuron']
    # 4 downsamples, 3 x 5, 2 x (3 + 5 + 2), the head
    assert len(neurons) == 4 + 15 + 20 + 1
    # Each spiking synapse gets the spikes that a neuron emitted.
    emitted = {r.module: sum(r.spikes) for r in neurons}
    synapses = [r for r in trace if r.kind == 'conv' and r.spiking]
    assert len(synapses) == 4 + 15 + 18
    for r in synapses:
        if f'{r.module}.neuron' in emitted:
            assert r.in_spikes == emitted[f'{r.module}.neuron']


def test_audit_of_the_classifier(classifiers, make_images):
    trace = record(to_spike_train(classifiers(4)), make_images(2))
    audit = trace.audit()
    first = audit[0]
    assert first.module == 'backbone.stages.0.downsample.conv'
    # 37 x 50 pixels at stride 2, 8 channels, kernel 7 x 7 x 3, two images
    assert first.macs == 2 * 19 * 25 * 8 * 147
    assert first.adds == 2 * 19 * 25 * 8
    assert sum(r.macs for r in trace) == first.macs
    kinds = {(r.kind, r.op) for r in audit}
    assert kinds == {('conv', 'convolution'), ('add', 'add_'),
                     ('add', 'mean')}
    # Residuals: two per conv block, three per transformer block.
    assert sum(r.op == 'add_' for r in audit) == 3 * 2 + 2 * 3
    pooling, = [r for r in audit if r.op == 'mean']
    assert pooling.module == 'neck.gap'
    assert (pooling.adds, pooling.other) == (2 * 40 * 3 * 4, 2 * 40)


def test_audit_names_interpolations_and_pooling():

    class Head(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = SpikeConv2d(2, 2, 1, neuron=NEURON)
            self.pool = nn.MaxPool2d(2)
            self.up = nn.Upsample(
                scale_factor=4, mode='bilinear', align_corners=False)
            self.near = nn.Upsample(scale_factor=2)

        def forward(self, x):
            return self.near(self.up(self.pool(self.conv(x))))

    trace = record(to_spike_train(Head()), torch.rand(1, 2, 6, 4) * 4)
    audit = {r.module: r for r in trace.audit()}
    # 2 x 3 x 2 windows of 4: three comparisons each
    assert audit['pool'].kind == 'pool'
    assert audit['pool'].comparisons == 12 * 3
    # 4 multiply-accumulates per output of the bilinear interpolation
    assert audit['up'].kind == 'interpolate'
    assert audit['up'].macs == 4 * 2 * 12 * 8
    assert set(audit) == {'pool', 'up'}  # nearest neighbours cost nothing


def test_audit_of_the_segmentor(segmentor):
    spiking = to_spike_train(segmentor)
    with spiking:
        spiking(torch.randn(1, 3, 40, 56))
    audit = spiking.trace.audit()
    real = [r for r in audit if r.macs]
    assert real[0].module == 'backbone.stages.0.downsample.conv'
    assert {r.kind for r in real[1:]} == {'interpolate'}
    # The segmentor calls the head's forward directly, without its hooks.
    assert {r.module for r in real[1:]} == {
        'decode_head', 'decode_head.scale_heads.1.1',
        'decode_head.scale_heads.2.1', 'decode_head.scale_heads.2.3',
        'decode_head.scale_heads.3.1', 'decode_head.scale_heads.3.3'}
    assert any(r.spiking and r.module == 'decode_head.conv_seg'
               for r in spiking.trace)
    assert any(r.kind == 'conv' and r.spiking and r.module.startswith('neck')
               for r in spiking.trace)


def test_firing_rate_by_hand():
    with to_spike_train(nn.Sequential(SFANeuron(2))) as spiking:
        spiking(torch.tensor([[0.4, 0.5], [1.7, 9.]]))
        assert spiking.trace.firing_rate() == [3 / 4, 2 / 4]
        spiking(torch.zeros(2, 2))
    assert spiking.trace.firing_rate() == [3 / 8, 2 / 8]
    assert spiking.trace.images == 4


def test_firing_rate_of_neurons_with_different_d():
    net = nn.Sequential(SFANeuron(3, scale=1.), SFANeuron(1))
    trace = record(to_spike_train(net), torch.tensor([[3., 1., 0.]]))
    # first 2, 1, 1 of 3; second 2 of 3: together over 6 neurons
    assert trace.firing_rate() == [4 / 6, 1 / 6, 1 / 6]


class Odd(nn.Module):
    """A neuron, and then whatever is asked for."""

    def __init__(self, function):
        super().__init__()
        self.neuron = SFANeuron()
        self.function = function

    def forward(self, x):
        return self.function(x, self.neuron(x))


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('function', [
    lambda x, s: torch.linalg.inv(x @ x.transpose(1, 2)),
    lambda x, s: torch.linalg.svd(s)[1],
    lambda x, s: torch.zeros(4).index_put(
        [torch.tensor([True, False, False, True])], torch.ones(2),
        accumulate=True),
], ids=['inverse', 'decomposition of spikes', 'adding at a mask'])
def test_an_unclassified_op_is_named_with_its_module(form, function):
    net = nn.Sequential(nn.Identity(), nn.Sequential(Odd(function)))
    spiking = to_spike_train(net, form)
    x = torch.rand(1, 4, 4)
    with spiking:
        with pytest.raises(UnclassifiedOpError,
                           match=r'^1\.0: .*(on purpose|write mask)'):
            spiking(x)
    assert not len(spiking.trace) and not spiking.trace.images


@pytest.mark.parametrize('form', FORMS)
def test_changing_spikes_in_place_is_refused(form):
    net = nn.Sequential(Odd(lambda x, s: s.mul_(2)))
    spiking = to_spike_train(net, form)
    with spiking, pytest.raises(UnclassifiedOpError,
                                match='^0: .*change spikes in place'):
        spiking(torch.rand(2, 3))


@pytest.mark.parametrize('form', FORMS)
def test_a_shared_layer_has_a_record_for_each_call(form):
    # The head of a detector: one layer, several feature maps.
    conv = SpikeConv2d(1, 2, 1, neuron=NEURON)

    class Levels(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = conv

        def forward(self, x):
            return self.conv(x), self.conv(x[..., ::2, ::2])

    images = torch.ones(1, 1, 4, 4)
    trace = record(to_spike_train(Levels(), form), images, images)
    assert [(r.module, r.call, r.calls) for r in trace] == [
        ('conv.neuron', 1, 2), ('conv', 1, 2), ('conv.neuron', 2, 2),
        ('conv', 2, 2)]
    neuron, synapse, *level = trace
    assert (neuron.neurons, level[0].neurons) == (2 * 16, 2 * 4)
    assert (synapse.sops, level[1].sops) == (4 * 16, 4 * 4)
    assert synapse.weight_bytes == level[1].weight_bytes == 4 * 4  # once


class Net(nn.Module):
    """A synapse, a norm, a neuron, a synapse."""

    def __init__(self, first, norm, second):
        super().__init__()
        self.body = nn.Sequential(first, norm, SFANeuron(), second)

    def forward(self, x):
        return self.body(x)


def test_a_norm_that_is_not_folded_is_charged():
    net = Net(nn.Conv2d(1, 2, 1), nn.GroupNorm(1, 2), nn.Conv2d(2, 1, 1))
    assert fold_norms(copy.deepcopy(net).eval()) == 0
    trace = record(to_spike_train(net), torch.rand(1, 1, 3, 3))
    norm, = [r for r in trace if r.kind == 'norm']
    assert norm.module == 'body.1' and norm.macs == 3 * 18
    assert norm in trace.audit()
    assert isinstance(trace, OpTrace)
