import copy
import math

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from mmsnn.conversion import to_spike_train
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


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('recording', [True, False])
def test_an_image_that_is_not_finite(classifiers, make_images, form, value,
                                     recording):
    images = make_images(2, 16, 16)
    images[1, 2, 3, 4] = value
    spiking = to_spike_train(classifiers(4), form)
    if recording:
        spiking.start_recording()
    with pytest.raises(ValueError, match='input .* holds NaN or infinite'):
        spiking(images)
    assert not spiking.trace.images


@pytest.mark.parametrize('value', [math.nan, -math.inf])
@pytest.mark.parametrize('name', ['stem.weight', 'head.bias', 'stem_norm.bias',
                                  'stem_norm.running_mean'])
def test_a_weight_that_is_not_finite_is_named(name, value):
    net = nn.Sequential()
    net.add_module('stem', nn.Conv2d(3, 4, 1))
    net.add_module('stem_norm', nn.BatchNorm2d(4))
    net.add_module('head', SpikeConv2d(4, 2, 1, neuron=NEURON))
    net.state_dict()[name].view(-1)[1] = value
    with pytest.raises(ValueError, match=f'^{name} .*NaN or infinite'):
        to_spike_train(net)


def test_a_model_without_spiking_neurons():
    with pytest.raises(ValueError, match='Sequential has no spiking neuron'):
        to_spike_train(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))


def test_a_type_that_is_none():
    with pytest.raises(TypeError, match="such as torch.float64.*'float64'"):
        to_spike_train(SFANeuron(), dtype='float64')


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('follow', [
    lambda f, x, y: torch.jit.trace(f, (x, y)),
    lambda f, x, y: torch.export.export(f, (x, y), strict=False),
    lambda f, x, y: make_fx(f)(x, y),
    lambda f, x, y: torch.vmap(f)(x[None], y[None]),
])
def test_tracers_and_transforms_are_refused(follow, form):

    class Model(nn.Module):

        def __init__(self):
            super().__init__()
            self.layer = SpikeLinear(3, 2, neuron=dict(type='mmsnn.SFANeuron'))

        def forward(self, x, table):
            return self.layer(x).sum() + table.sum()

    with pytest.raises(RuntimeError, match='Model: a converted model can not '
                       'be traced, exported or transformed'):
        follow(to_spike_train(Model(), form), torch.ones(2, 3),
               torch.ones(7, 3))


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
    hooks = [(dict(m._forward_hooks), dict(m._forward_pre_hooks))
             for m in model.modules()]
    spiking = to_spike_train(model, dtype=torch.float64)
    record(spiking, make_images(1, 16, 16))
    assert {k: m.training for k, m in model.named_modules()} == modes
    assert {k: type(m) for k, m in model.named_modules()} == kinds
    assert all(p.requires_grad for p in model.parameters())
    assert [(dict(m._forward_hooks), dict(m._forward_pre_hooks))
            for m in model.modules()] == hooks
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
    a.start_recording()
    a(batches[0])
    with b, c:
        b(batches[0])
        for x in batches[1:]:
            c(batches[0] if x is batches[1] else batches[1])
            a(x)
            b(x)
        c(batches[2])
    a.stop_recording()
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
    assert nothing is None and out.tolist() == [[0.5] * 3] * 2
    assert spiking.trace.images == 2
