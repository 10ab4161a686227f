import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import (
    OpTrace,
    UnclassifiedOpError,
    fold_norms,
    to_spike_train,
)
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron

FORMS = ['spikes', 'counts']
NEURON = dict(type='mmsnn.SFANeuron', max_spikes=4)


def same_trace(actual, expected):
    assert actual.images == expected.images
    assert list(actual) == list(expected)


def record(spiking, *batches):
    with spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


@pytest.mark.parametrize('max_spikes', [3, 4])
def test_both_forms_count_the_same(classifiers, make_images, max_spikes):
    model = classifiers(max_spikes).double()
    images = make_images(2, dtype=torch.float64)
    traces = [record(to_spike_train(model, form), images) for form in FORMS]
    model.float()
    same_trace(*traces)
    assert traces[0].total('sops') > 0
    products = [r for r in traces[0] if r.kind == 'matmul']
    assert len(products) == 4 and all(r.sops > 0 for r in products)


def test_both_forms_count_the_same_over_batches(classifiers, make_images):
    # The second batch of a size is counted by the plan of the first.
    model = copy.deepcopy(classifiers(4)).double()
    batches = [
        make_images(2, 20, 24, seed, torch.float64) for seed in range(3)
    ] + [make_images(1, 33, 17, 9, torch.float64)]
    traces = [record(to_spike_train(model, f), *batches) for f in FORMS]
    assert traces[0].images == traces[1].images == 7
    for a, b in zip(*traces, strict=True):
        # The largest accumulator of attention is known up to the first batch.
        b.accumulator_max = a.accumulator_max
        assert a == b


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
    lambda x, s: torch.fft.fft(x).real,
    lambda x, s: torch.fft.fft(s).real,
    lambda x, s: F.scaled_dot_product_attention(x, x, x),
    lambda x, s: torch.linalg.inv(x @ x.transpose(1, 2)),
    lambda x, s: torch.baddbmm(x, x, x[:, :4, :4]),
], ids=['fft', 'fft of spikes', 'attention', 'inverse', 'baddbmm'])
def test_an_unclassified_op_is_named_with_its_module(form, function):
    net = nn.Sequential(nn.Identity(), nn.Sequential(Odd(function)))
    spiking = to_spike_train(net, form)
    x = torch.rand(1, 4, 4)
    with spiking:
        with pytest.raises(UnclassifiedOpError,
                           match=r'^1\.0: no rule says .*costs\.py'):
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
@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('recording', [True, False])
def test_an_image_that_is_not_finite(classifiers, make_images, form, value,
                                     recording):
    images = make_images(2, 16, 16)
    images[1, 2, 3, 4] = value
    spiking = to_spike_train(classifiers(4), form)
    spiking._recording = recording
    with pytest.raises(ValueError, match='input .* holds NaN or infinite'):
        spiking(images)
    assert not spiking.trace.images


@pytest.mark.parametrize('value', [math.nan, -math.inf])
@pytest.mark.parametrize('name', ['stem.weight', 'head.bias', 'stem_norm.bias'
                                  ])
def test_a_weight_that_is_not_finite_is_named(name, value):
    net = nn.Sequential()
    net.add_module('stem', nn.Conv2d(3, 4, 1))
    net.add_module('stem_norm', nn.BatchNorm2d(4))
    net.add_module('head', SpikeConv2d(4, 2, 1, neuron=NEURON))
    net.get_parameter(name).data.view(-1)[1] = value
    where = name.replace('stem_norm', 'stem')  # the norm is folded
    with pytest.raises(ValueError, match=f'^{where} .*NaN or infinite'):
        to_spike_train(net)


def test_a_model_without_spiking_neurons():
    with pytest.raises(ValueError, match='Sequential has no spiking neuron'):
        to_spike_train(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))


def test_an_unknown_form():
    with pytest.raises(ValueError, match="one of spikes, counts.*'spike'"):
        to_spike_train(SFANeuron(), 'spike')


@pytest.mark.parametrize('inner', [SFANeuron(), nn.Sequential(SFANeuron())])
def test_a_converted_model_is_not_converted_again(inner):
    spiking = to_spike_train(inner)
    for model in (spiking, spiking.module, nn.Sequential(spiking)):
        with pytest.raises(ValueError, match='in spike-train form already'):
            to_spike_train(model)


def test_the_model_is_left_as_it_is(classifiers, make_images):
    model = copy.deepcopy(classifiers(4)).train()
    model.backbone.stages[1].eval()
    before = copy.deepcopy(model.state_dict())
    modes = {k: m.training for k, m in model.named_modules()}
    kinds = {k: type(m) for k, m in model.named_modules()}
    spiking = to_spike_train(model, dtype=torch.float64)
    record(spiking, make_images(1, 16, 16))
    assert {k: m.training for k, m in model.named_modules()} == modes
    assert {k: type(m) for k, m in model.named_modules()} == kinds
    assert all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks
                   for m in model.modules())
    after = model.state_dict()
    assert list(after) == list(before)
    for k, v in after.items():
        assert v.dtype == before[k].dtype and torch.equal(v, before[k])
    # and shares nothing with the copy
    mine = {p.data_ptr() for p in model.parameters()}
    assert not mine & {p.data_ptr() for p in spiking.parameters()}


def test_a_converted_model_stays_in_eval_mode(classifiers):
    spiking = to_spike_train(classifiers(4)).train()
    assert not any(m.training for m in spiking.modules())
    assert not any(p.requires_grad for p in spiking.parameters())


def test_two_converted_models_side_by_side(classifiers, make_images):
    batches = [make_images(1, 20, 20, seed) for seed in range(3)]
    kinds = [(3, 'spikes'), (4, 'counts'), (4, 'spikes')]
    alone = [
        record(to_spike_train(classifiers(d), form), *batches)
        for d, form in kinds
    ]
    a, b, c = (to_spike_train(classifiers(d), form) for d, form in kinds)
    a.__enter__()
    a(batches[0])
    with b, c:
        b(batches[0])
        for x in batches[1:]:
            c(batches[0] if x is batches[1] else batches[1])
            a(x)
            b(x)
        c(batches[2])
    a.__exit__(None, None, None)
    for model, expected in zip((a, b, c), alone):
        same_trace(model.trace, expected)


class Fragile(nn.Module):
    """Stops half-way where it is told to."""

    def __init__(self):
        super().__init__()
        self.first = SpikeLinear(3, 3, neuron=NEURON)
        self.gate = nn.Identity()
        self.second = SpikeLinear(3, 2, neuron=NEURON)
        self.broken = False

    def forward(self, x):
        x = self.gate(self.first(x))
        if self.broken:
            raise RuntimeError('broken')
        return self.second(x)


@pytest.mark.parametrize('form', FORMS)
def test_an_exception_inside_leaves_nothing_behind(form):
    net = Fragile()
    x = torch.rand(2, 3) * 4
    expected = record(to_spike_train(net, form), x, x)
    spiking = to_spike_train(net, form)
    with spiking:
        for broken in (True, False, True, False):
            spiking.module.broken = broken
            if broken:
                with pytest.raises(RuntimeError, match='broken'):
                    spiking(x)
            else:
                assert torch.equal(spiking(x), to_spike_train(net, form)(x))
    same_trace(spiking.trace, expected)


def test_an_exception_ends_the_recording():
    net = Fragile()
    spiking = to_spike_train(net)
    spiking.module.broken = True
    with pytest.raises(RuntimeError, match='broken'):
        with spiking:
            spiking(torch.rand(1, 3))
    spiking.module.broken = False
    spiking(torch.rand(1, 3))
    assert not spiking.trace.images
    assert record(spiking, torch.rand(1, 3)).images == 1


def test_recording_starts_anew_with_each_context():
    spiking = to_spike_train(SpikeLinear(3, 2, neuron=NEURON))
    first = record(spiking, torch.ones(1, 3))
    second = record(spiking, torch.ones(2, 3))
    assert (first.images, second.images) == (1, 2)
    assert second.total('sops') == 2 * first.total('sops') == 12
    spiking(torch.ones(5, 3))  # outside: not recorded
    assert spiking.trace is second and second.images == 2


@pytest.mark.parametrize('form', FORMS)
def test_a_neuron_that_stands_in_several_places(form):
    neuron = SFANeuron(4)
    net = nn.Sequential(nn.Linear(3, 3), neuron, nn.Linear(3, 3), neuron,
                        nn.Sequential(nn.Linear(3, 2), neuron))
    spiking = to_spike_train(net, form)
    assert not any(type(m) is SFANeuron and k.split('.')[-1] != 'neuron'
                   for k, m in spiking.named_modules())
    trace = record(spiking, torch.rand(1, 3) * 4)
    linears = [r for r in trace if r.kind == 'linear']
    assert [r.spiking for r in linears] == [False, True, True]


def test_dtype():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), SFANeuron(), nn.Conv2d(2, 1, 1))
    spiking = to_spike_train(net, dtype=torch.float64)
    out = spiking(torch.rand(1, 1, 2, 2))
    assert out.dtype == torch.float64
    expected = copy.deepcopy(net).double()(torch.rand(1, 1, 2, 2).double())
    assert expected.dtype == out.dtype
    assert net[0].weight.dtype == torch.float32


@pytest.mark.parametrize('form', FORMS)
def test_autocast_outside_changes_nothing(classifiers, make_images, form):
    spiking = to_spike_train(classifiers(4), form)
    images = make_images(1, 16, 16)
    expected = spiking(images)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(spiking(images), expected)


@pytest.mark.parametrize('form', FORMS)
def test_inference_mode_outside_changes_nothing(classifiers, make_images,
                                                form):
    model = classifiers(4)
    images = make_images(1, 16, 16)
    expected = record(to_spike_train(model, form), images, images)
    with torch.inference_mode():
        actual = record(to_spike_train(model, form), images, images * 1)
    same_trace(actual, expected)
    out = to_spike_train(model, form)(images)
    assert not out.requires_grad and not out.is_inference()


def test_arguments_that_are_no_images():

    class Scaled(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron()

        def forward(self, factor, x, mode='plain', shape=None):
            assert mode == 'tensor' and shape == (2, 3)
            return [self.neuron(factor * x), None]

    spiking = to_spike_train(Scaled())
    with spiking:
        out, nothing = spiking(
            torch.tensor(2.), torch.ones(2, 3), mode='tensor', shape=(2, 3))
    assert nothing is None and out.counts().tolist() == [[2.] * 3] * 2
    assert spiking.trace.images == 2


@pytest.mark.parametrize('form', FORMS)
def test_a_shared_layer_adds_up_its_calls(form):
    # The head of a detector: one layer, several feature maps.
    conv = SpikeConv2d(1, 2, 1, neuron=NEURON)

    class Levels(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = conv

        def forward(self, x):
            return self.conv(x), self.conv(x[..., ::2, ::2])

    trace = record(to_spike_train(Levels(), form), torch.ones(1, 1, 4, 4))
    neuron, synapse = trace
    assert (neuron.calls, synapse.calls) == (2, 2)
    assert neuron.neurons == 16 + 4
    assert synapse.sops == 2 * 20
    assert synapse.weight_bytes == 4 * 4  # once


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


class Picked(nn.Module):
    """Selects spikes by indices that depend on the image."""

    def __init__(self):
        super().__init__()
        self.neuron = SFANeuron(4)
        self.fc = nn.Linear(2, 3)

    def forward(self, x):
        best = x.topk(2, dim=1)[1]
        return self.fc(self.neuron(x).gather(1, best))


def test_indices_that_depend_on_the_image():
    batches = [
        torch.tensor([[1., 2., 0., 4.], [3., 0., 0., 1.]]),
        torch.tensor([[4., 1., 3., 1.], [0., 0., 2., 1.]])
    ]
    traces = [
        record(to_spike_train(Picked(), form), *batches) for form in FORMS
    ]
    same_trace(*traces)
    assert list(traces[1])[-1].in_spikes == (6 + 4) + (7 + 3)


class Fickle(nn.Module):
    """Does different things on the same arguments."""

    def __init__(self):
        super().__init__()
        self.first = SpikeLinear(3, 3, neuron=NEURON)
        self.second = SpikeLinear(3, 3, neuron=NEURON)
        self.mood = 'both'

    def forward(self, x):
        if self.mood == 'swapped':
            return self.first(self.second(x))
        if self.mood == 'one':
            return self.first(x)
        if self.mood == 'half':
            return self.second(self.first(x[:1]))
        x = self.second(self.first(x))
        return self.first(x) if self.mood == 'three' else x


@pytest.mark.parametrize('mood', ['swapped', 'one', 'half', 'three'])
def test_a_model_that_changes_its_mind(mood):
    net = Fickle()
    x = torch.rand(2, 3) * 4
    traces = []
    for form in FORMS:
        with to_spike_train(net, form) as spiking:
            for now in ('both', mood, 'both', mood):
                spiking.module.mood = now
                spiking(x)
        traces.append(spiking.trace)
    same_trace(*traces)
    assert traces[1].images == 8
