"""Both forms agree, at every neuron; and where they don't, it is said."""

import copy

import pytest
import torch
from torch import nn

from mmsnn.conversion import (
    EqualityCheck,
    EqualityReport,
    SpikeTensor,
    to_spike_train,
)
from mmsnn.conversion.spikes import forms, spike_tensor
from mmsnn.conversion.spikes.spike_tensor import SYNAPSES, aten, decode
from mmsnn.layers import SpikeConv2d
from mmsnn.neurons import SFANeuron, is_spiking

DOUBLE = torch.float64


@pytest.fixture
def model(classifiers):
    return classifiers(4)


def compare(model, images, form='spikes', change=None):
    """Report of a float64 comparison; ``change`` breaks the conversion."""
    training = to_double(model)
    spiking = to_spike_train(training, form)
    if change:
        change(spiking.module)
    check = EqualityCheck(training, spiking)
    outs = check.compare(images.double())
    return check.report, outs


def to_double(model):
    return copy.deepcopy(model).double()


def neuron_paths(model):
    return [k for k, m in model.named_modules() if is_spiking(m)]


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('max_spikes', [1, 3, 4, 8])
def test_classifier_zero_differences(classifiers, make_images, form,
                                     max_spikes):
    model = classifiers(max_spikes)
    report, (expected, actual) = compare(model, make_images(2), form)
    assert str(report).startswith('0 of ')
    assert report.equal and report.images == 2 and report.dtype == 'float64'
    assert [row.module for row in report.rows] == neuron_paths(model)
    assert all(row.neurons and row.training_spikes == row.spike_train_spikes
               and row.max_difference == 0 for row in report.rows)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_segmentor_zero_differences(segmentor):
    data_element = pytest.importorskip('mmseg.structures').SegDataSample
    model = to_double(segmentor)
    spiking = to_spike_train(model)
    check = EqualityCheck(model, spiking)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (3, 50, 70), generator=generator).byte()
    samples = [
        data_element(
            metainfo=dict(ori_shape=(50, 70), img_shape=(50, 70),
                          pad_shape=(50, 70), padding_size=[0] * 4))
    ]

    def data():
        return dict(inputs=[inputs], data_samples=samples)

    # Preprocessing is in float64 too: its mean and std are buffers.
    expected, actual = check.compare_calls(
        lambda: model.test_step(data()), lambda: spiking.test_step(data()))
    assert check.report.equal, check.report
    assert len(check.report.rows) == len(neuron_paths(model))
    assert any('decode_head' in row.module for row in check.report.rows)
    torch.testing.assert_close(
        actual[0].seg_logits.data, expected[0].seg_logits.data, rtol=1e-10,
        atol=1e-10)
    assert actual[0].seg_logits.data.shape == (5, 50, 70)
    assert torch.equal(actual[0].pred_sem_seg.data,
                       expected[0].pred_sem_seg.data)


def test_batches_add_up(model, make_images):
    training = to_double(model)
    check = EqualityCheck(training, to_spike_train(training))
    for number in (1, 2):
        check.compare(make_images(number, 16, 16, dtype=DOUBLE))
    assert check.report.images == 3 and check.report.equal
    one, _ = compare(model, make_images(1, 16, 16))
    assert check.report.total_neurons == 3 * one.total_neurons


def bias_every_substep(func, x, weight, bias, *args):
    weight = weight * x.unit
    return sum(func(part, weight, bias, *args) for part in x.parts)


def test_bias_added_every_substep_is_reported(model, make_images,
                                              monkeypatch):
    monkeypatch.setitem(SYNAPSES, aten.convolution, bias_every_substep)
    report, _ = compare(model, make_images(1, 16, 16))
    assert not report.equal
    assert report.total_differences > 0.01 * report.total_neurons
    # Up to the second synapse nothing is wrong yet.
    assert report.rows[0].differences == 0
    assert 'most at backbone' in str(report)


class LeftOut(nn.Module):
    """A neuron that lets its membrane pass."""

    def forward(self, membrane):
        return decode(membrane)


@pytest.mark.parametrize('path', [
    'backbone.stages.2.blocks.0.mixer.reduce.conv.neuron',
    'backbone.stages.3.blocks.0.attention.attention_neuron',
    'head.fc.neuron'])
def test_a_neuron_left_out_is_reported(model, make_images, path):

    def leave_out(module):
        parent, _, name = path.rpartition('.')
        setattr(module.get_submodule(parent), name, LeftOut())

    # Images on which every neuron fires.
    report, _ = compare(model, make_images(2), change=leave_out)
    assert not report.equal
    row, = [r for r in report.rows if r.module == path]
    assert row.differences == row.neurons > 0
    assert row.spike_train_spikes == 0 < row.training_spikes


@pytest.mark.parametrize('factor', [0.9, 1.1])
def test_a_shifted_threshold_is_reported(model, make_images, factor):
    path = 'backbone.stages.4.blocks.0.mlp.reduce.conv.neuron'

    def shift(module):
        module.get_submodule(path).neuron.threshold *= factor

    report, _ = compare(model, make_images(1), change=shift)
    wrong = [r.module for r in report.rows if r.differences]
    assert wrong[0] == path and not report.equal


def test_a_wrong_scale_is_reported(model, make_images):
    path = 'backbone.stages.0.blocks.0.sep_conv.depthwise.conv.neuron'

    def rescale(module):
        module.get_submodule(path).neuron.scale = 1.

    report, _ = compare(model, make_images(1, 16, 16), change=rescale)
    assert not report.equal
    following = [r for r in report.rows if r.module.startswith(
        'backbone.stages.0.blocks.0.sep_conv.reduce')]
    assert following[0].differences > 0


def test_a_neuron_that_starts_without_its_half_is_reported(
        model, make_images, monkeypatch):
    right = forms.integrate_and_fire
    monkeypatch.setattr(forms, 'integrate_and_fire',
                        lambda u, d: right(u - 0.5, d))
    report, _ = compare(model, make_images(1, 16, 16))
    assert report.rows[0].differences > 0
    assert report.rows[0].max_difference == 1
    assert report.rows[0].spike_train_spikes < report.rows[0].training_spikes


def test_a_spike_too_few_in_a_synapse_is_reported(model, make_images,
                                                  monkeypatch):

    def forgetful(func, x, weight, bias, *args):
        short = SpikeTensor(x.parts[:-1], x.scale, x.max_spikes, True)
        return right(func, short, weight, bias, *args)

    right = SYNAPSES[aten.convolution]
    monkeypatch.setitem(spike_tensor.SYNAPSES, aten.convolution, forgetful)
    report, _ = compare(model, make_images(1))
    assert not report.equal


def test_nothing_compared_is_not_equal():
    assert not EqualityReport('float64').equal
    assert str(EqualityReport('float64')).startswith('0 of 0')


def test_layers_that_were_not_tested_are_named():
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=3)
    net = nn.ModuleDict({
        name: SpikeConv2d(1, 1, 1, neuron=neuron)
        for name in ('fires', 'silent', 'unreached')
    })
    nn.init.constant_(net.fires.weight, -1.)
    nn.init.zeros_(net.fires.bias)
    net.forward = lambda x: net.silent(net.fires(x))
    spiking = to_spike_train(net)
    spiking.module.forward = lambda x: spiking.module.silent(
        spiking.module.fires(x))
    check = EqualityCheck(net, spiking)
    check.compare(torch.ones(1, 1, 2, 2))
    report = check.report
    assert report.silent == ['silent.neuron']
    assert report.never_ran == ['unreached.neuron']
    assert str(report).endswith(
        '1 never ran: unreached.neuron; 1 never fired: silent.neuron')


def test_a_neuron_used_twice_is_compared_twice():
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=3)
    conv = SpikeConv2d(2, 2, 3, padding=1, neuron=neuron)
    net = nn.Sequential(conv, conv, nn.Sequential(conv)).eval()
    report, _ = compare(net, torch.rand(1, 2, 4, 4) * 3)
    row, = report.rows
    assert row.neurons == 3 * 2 * 16 and report.equal


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_a_bare_neuron(form):
    report, _ = compare(SFANeuron(), torch.linspace(-1, 5, 30), form)
    assert report.equal and report.total_neurons == 30
    assert len(report.rows) == 1


def test_no_hooks_stay_behind(model, make_images):
    training = to_double(model)
    spiking = to_spike_train(training)
    def hooks():
        return [[len(m._forward_hooks), len(m._forward_pre_hooks)]
                for model in (training, spiking) for m in model.modules()]

    before = hooks()
    EqualityCheck(training, spiking).compare(
        make_images(1, 16, 16, dtype=DOUBLE))
    assert hooks() == before


def test_float32_reports_what_the_order_of_sums_does(model, make_images):
    check = EqualityCheck(model, to_spike_train(model))
    check.compare(make_images(2))
    report = check.report
    assert report.dtype == 'float32'
    assert report.total_differences < 0.01 * report.total_neurons


def test_unequal_types_are_not_compared():
    net = nn.Sequential(nn.Linear(2, 2), SFANeuron(2)).eval()
    with pytest.raises(ValueError, match='float32.*float64'):
        EqualityCheck(net, to_spike_train(net, dtype=torch.float64))


def test_forms_in_the_wrong_order():
    model = SpikeConv2d(3, 2, 1, neuron=dict(type='mmsnn.SFANeuron'))
    spiking = to_spike_train(model)
    for first, second in ((model, model), (spiking, model),
                          (spiking, spiking)):
        with pytest.raises(TypeError, match='a trained model and, second'):
            EqualityCheck(first, second)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_both_forms_draw_the_same_noise(form):

    class Noisy(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(4)

        def forward(self, x):
            return nn.functional.dropout(self.neuron(x + 3 * torch.rand(5)),
                                         training=True)

    model = Noisy().double().eval()
    check = EqualityCheck(model, to_spike_train(model, form))
    torch.manual_seed(0)
    first, _ = check.compare(torch.zeros(2, 5, dtype=torch.float64))
    assert check.report.equal and first.any()
    after = torch.rand(1)
    torch.manual_seed(0)
    model(torch.zeros(2, 5, dtype=torch.float64))
    assert after == torch.rand(1)  # as many were drawn as in one call
