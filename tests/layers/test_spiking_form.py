import copy
import pickle

import mmcv.cnn
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.layers import (
    SpikeConv1d,
    SpikeConv2d,
    SpikeConv3d,
    SpikeLinear,
    SpikingSynapse,
    is_spiking_form,
    spiking_form,
)
from mmsnn.layers.spiking_form import why_real

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)


def fire(u):
    return sum((u >= d - 0.5).to(u.dtype) for d in range(1, 5)) / 4


class Named(nn.Conv2d):
    """Computes what its base computes."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.name = 'mine'


class Doubled(nn.Conv2d):

    def forward(self, x):
        return super().forward(2 * x)


class Padded(nn.Conv2d):

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x + 1, weight, bias)


@pytest.mark.parametrize('kind,form', [
    (nn.Conv1d, SpikeConv1d), (nn.Conv3d, SpikeConv3d),
    (mmcv.cnn.Conv2d, SpikeConv2d), (mmcv.cnn.Conv3d, SpikeConv3d),
    (mmcv.cnn.Linear, SpikeLinear), (Doubled, None), (Padded, None),
    (nn.Bilinear, None), (nn.LSTM, None), (nn.Embedding, None)])
def test_forms(kind, form):
    assert spiking_form(kind) is form


@pytest.mark.parametrize('kind,form', [
    (Named, SpikeConv2d), (mmcv.cnn.bricks.conv_ws.ConvWS2d, SpikingSynapse),
    (mmcv.cnn.bricks.conv_ws.ConvAWS2d, SpikingSynapse),
    (mmcv.cnn.bricks.Conv2dAdaptivePadding, SpikingSynapse)])
def test_a_subclass_keeps_what_it_is(kind, form):
    torch.manual_seed(0)
    plain = kind(3, 4, 3, padding=1)
    spiking = spiking_form(kind).from_plain(plain, SFA4)
    assert isinstance(spiking, kind) and isinstance(spiking, form)
    assert vars(spiking).keys() == vars(plain).keys()
    assert spiking.state_dict().keys() == plain.state_dict().keys()
    x = torch.rand(1, 3, 5, 5) * 4
    torch.testing.assert_close(spiking(x), plain(fire(x)))
    for again in copy.deepcopy(spiking), pickle.loads(pickle.dumps(spiking)):
        assert type(again) is type(spiking)
        torch.testing.assert_close(again(x), spiking(x))


def test_initialisers_find_the_names_that_they_look_for():
    """mmengine's look at the class name and the names of direct bases."""
    for kind in (nn.Conv2d, mmcv.cnn.Conv2d, Named, nn.Linear,
                 nn.modules.linear.NonDynamicallyQuantizableLinear):
        form = spiking_form(kind)
        plain = {kind.__name__, *(b.__name__ for b in kind.__bases__)}
        ours = {form.__name__, *(b.__name__ for b in form.__bases__)}
        assert plain - {'_ConvNd', 'Module'} <= ours


def test_standardised_weights_are_spiking():
    torch.manual_seed(0)
    layer = spiking_form(mmcv.cnn.bricks.conv_ws.ConvWS2d).from_plain(
        mmcv.cnn.bricks.conv_ws.ConvWS2d(2, 3, 1), SFA4)
    x = torch.rand(1, 2, 2, 2) * 4
    with to_spike_train(layer) as converted:
        converted(x)
    row = next(r for r in converted.trace if r.kind == 'conv')
    assert row.spiking and row.sops == fire(x).sum() * 4 * 3


def test_parametrized_weights():
    torch.manual_seed(0)
    plain = parametrizations.weight_norm(nn.Linear(4, 3))
    nn.init.uniform_(plain.parametrizations.weight.original0, 1, 2)
    spiking = spiking_form(type(plain)).from_plain(plain, SFA4)
    x = torch.rand(2, 4) * 4
    torch.testing.assert_close(spiking(x), plain(fire(x)))
    with to_spike_train(spiking) as converted:
        torch.testing.assert_close(converted(x), plain(fire(x)))


def deformable(name):
    ops = pytest.importorskip('mmcv.ops')
    torch.manual_seed(0)
    layer = getattr(ops, name)(4, 3, 3, padding=1, deform_groups=2)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    given = [torch.randn(2, 4, 5, 6) * 2 + 2]
    if not name.endswith('Pack'):
        given.append(torch.randn(2, 2 * 2 * 9, 5, 6))
        if 'Modulated' in name:
            given.append(torch.rand(2, 2 * 9, 5, 6))
    return layer, given


DEFORMABLE = ['DeformConv2d', 'DeformConv2dPack', 'ModulatedDeformConv2d',
              'ModulatedDeformConv2dPack']


@pytest.mark.parametrize('name', DEFORMABLE)
@pytest.mark.parametrize('layout', [
    torch.contiguous_format, torch.channels_last])
def test_a_deformable_convolution_samples_spikes(name, layout):
    plain, (x, *more) = deformable(name)
    spiking = spiking_form(type(plain)).from_plain(plain, SFA4)
    assert isinstance(spiking, (SpikingSynapse, type(plain)))
    assert spiking.state_dict().keys() == plain.state_dict().keys()
    expected = plain(fire(x), *more)
    given = [a.contiguous(memory_format=layout) for a in (x, *more)]
    torch.testing.assert_close(spiking(*given), expected)
    again = pickle.loads(pickle.dumps(spiking))
    torch.testing.assert_close(again(*given), expected)


@pytest.mark.parametrize('name', DEFORMABLE)
def test_the_trace_of_a_deformable_convolution(name):
    plain, given = deformable(name)
    spiking = spiking_form(type(plain)).from_plain(plain, SFA4).double()
    given = [x.double() for x in given]
    check = EqualityCheck(spiking, to_spike_train(spiking))
    with torch.no_grad():
        check.compare_calls(lambda: spiking(*given),
                            lambda: check.spiking(*given))
    assert check.report.equal
    with to_spike_train(spiking) as converted:
        converted(*given)
    rows = {r.op: r for r in converted.trace if r.kind == 'conv'}
    sampled = [r for op, r in rows.items() if 'deform_conv' in op]
    # 2 images of 5 x 6 positions, 9 samples of 4 channels for 3 outputs;
    # bilinear, and a factor for each sample where there is one.
    per_sample = 4 + ('Modulated' in name)
    assert len(sampled) == 1 and not sampled[0].spiking
    assert sampled[0].macs == 2 * 30 * 9 * 4 * (3 + per_sample)
    offsets = rows.get('convolution')
    assert (offsets is not None) == name.endswith('Pack')
    assert offsets is None or (offsets.spiking and offsets.sops)


def test_a_masked_convolution():
    """Of guided anchoring: all positions in training, some at test."""
    ops = pytest.importorskip('mmcv.ops')
    torch.manual_seed(0)
    plain = ops.MaskedConv2d(2, 3, 3, padding=1)
    spiking = spiking_form(ops.MaskedConv2d).from_plain(plain, SFA4)
    x = torch.rand(1, 2, 4, 4) * 4
    torch.testing.assert_close(spiking(x), plain(fire(x)))
    assert 'no sum of weights' in why_real(ops.MaskedConv2d)


@pytest.mark.parametrize('name,shape', [
    ('NormedLinear', (5, 4)), ('NormedConv2d', (2, 4, 3, 3))])
def test_layers_that_normalise_their_input(name, shape):
    layers = pytest.importorskip('mmdet.models.layers')
    torch.manual_seed(0)
    args = (1, ) if name == 'NormedConv2d' else ()
    plain = getattr(layers, name)(4, 3, *args)
    spiking = spiking_form(type(plain)).from_plain(plain, SFA4)
    x = torch.rand(*shape) * 4
    torch.testing.assert_close(spiking(x), plain(fire(x)))
    assert 'no sum of weights' in why_real(type(plain))
    with to_spike_train(spiking) as converted:
        converted(x)
    row = next(r for r in converted.trace if r.kind in ('conv', 'linear'))
    assert not row.spiking and row.macs


@pytest.mark.parametrize('kind', [
    nn.Linear, nn.Conv1d, Named, mmcv.cnn.Conv2d,
    mmcv.cnn.bricks.conv_ws.ConvWS2d])
def test_synapses_have_nothing_real(kind):
    assert why_real(kind) == ''


def test_is_spiking_form():
    assert is_spiking_form(SpikeConv1d(1, 1, 1, neuron=SFA4))
    assert is_spiking_form(
        spiking_form(nn.MultiheadAttention)(4, 2, neuron=SFA4))
    assert not is_spiking_form(nn.Conv1d(1, 1, 1))
