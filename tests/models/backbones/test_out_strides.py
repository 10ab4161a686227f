"""Maps with the strides that a neck wants."""

import copy

import pytest
import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from mmsnn.conversion import EqualityCheck, fold_norms, to_spike_train
from mmsnn.models import ESpikeFormer, MaskedESpikeFormer, MetaSpikeFormer
from mmsnn.models.backbones.strides import read_outputs

SFA = dict(type='mmsnn.SFANeuron', max_spikes=4)
DIMS = [8, 16, 24, 32]
BASE = dict(embed_dims=DIMS, depths=[1] * 5, num_heads=4)
LARGE = dict(
    family='large', embed_dims=DIMS[:3], depths=[1] * 4, num_heads=4)
BACKBONES = dict(
    base=(ESpikeFormer, BASE), large=(ESpikeFormer, LARGE),
    masked=(MaskedESpikeFormer, BASE), meta=(MetaSpikeFormer, BASE))
FIVE, FOUR = (2, 4, 8, 16, 16), (2, 4, 8, 16)
YOLO = dict(out_indices=(2, 3, 4), out_strides=(8, 16, 32))


def build(family='base', neuron=SFA, **kwargs):
    kind, arch = BACKBONES[family]
    torch.manual_seed(0)
    model = kind(arch, neuron=neuron, **kwargs)
    torch.manual_seed(0)
    for m in model.modules():
        if isinstance(m, _BatchNorm):
            nn.init.uniform_(m.weight, 1, 2)
            nn.init.uniform_(m.bias, 0, 2)
            m.momentum = None
    model.train()
    torch.manual_seed(0)
    with torch.no_grad():
        model(torch.randn(2, 3, 64, 64))
    return model.double().eval()


def images(*shape):
    return torch.randn(*(shape or (2, 3, 64, 64)), dtype=torch.float64)


@pytest.mark.parametrize('indices,wanted,stages,found', [
    ((2, 3, 4), (8, 16, 32), FIVE, ((2, 3, 4), (1, ))),
    ([2, 3, 4], [8, 16, 16], FIVE, ((2, 3, 4), (0, ))),
    ((1, 2, 3, 4), (4, 8, 16, 32), FIVE, ((1, 2, 3, 4), (1, ))),
    ((4, 2), (8, 64), FIVE, ((2, 4), (2, ))),
    (4, (16, 32, 128), FIVE, ((4, ), (0, 1, 3))),
    ((1, 2), (4, 32), FIVE, ((1, 2), (2, ))),
    ((2, 3), (8, 16, 32), FOUR, ((2, 3), (0, 1))),
    (None, (8, 16, 32), FIVE, ((2, 3, 4), (1, ))),
    (None, (8, 16, 32), FOUR, ((2, 3), (0, 1))),
    (None, (4, 8, 16), FIVE, ((1, 2, 4), (0, ))),
    (None, (8, 16, 16), FIVE, ((2, 3, 4), (0, ))),
    (None, (4, 8, 16, 32, 64), FIVE, ((1, 2, 3, 4), (1, 2))),
    (None, (32, ), FIVE, ((4, ), (1, ))),
    (None, None, FIVE, ((4, ), (0, ))),
    ((3, 1), None, FIVE, ((3, 1), (0, ))),
    (2, None, FIVE, ((2, ), (0, )))])
def test_which_stages_and_how_often_doubled(indices, wanted, stages, found):
    assert read_outputs(indices, wanted, stages) == found


@pytest.mark.parametrize('indices,wanted,message', [
    ((2, 3, 4), (8, 32, 64), r'out_strides must be 8, 16, 16, the strides of '
     r'out_indices = \(2, 3, 4\), .* \(8, 16, 32; 8, 16, 32, 64\), but is '
     r'\(8, 32, 64\)'),
    ((2, 3, 4), (8, 16), 'out_strides must be 8, 16, 16'),
    ((2, 3, 4), (8, 16, 48), 'out_strides must be 8, 16, 16'),
    ((2, 3, 4), (8, 16, 8), 'out_strides must be 8, 16, 16'),
    ((2, 3, 4), (8, 16, 64, 32), 'out_strides must be 8, 16, 16'),
    (None, (8, 16, 16, 16), r'out_strides must be taken from 2, 4, 8, 16, 16, '
     r'.* may go on with 32, 64 and so on, but is \(8, 16, 16, 16\)'),
    (None, (1, 2), 'out_strides must be taken from'),
    (None, (16, 8), 'out_strides must be taken from'),
    (None, 8, r'must be a list of strides, such as \(8, 16, 32\), but is 8'),
    (None, (), 'must be a list of strides'),
    (None, (8., 16.), 'must be a list of strides'),
    (None, (0, 8), 'must be a list of strides'),
    ((2, 5), (8, 32), r'out_indices must name stages 0..4, but is \(2, 5\)'),
    ((), (8, ), 'out_indices must name stages')])
def test_what_is_no_stride(indices, wanted, message):
    with pytest.raises(ValueError, match=message):
        ESpikeFormer(BASE, out_indices=indices, out_strides=wanted)


@pytest.mark.parametrize('family', list(BACKBONES))
def test_shapes_of_odd_images(family):
    # ceil(45 / 8) = 6, 3, 2 and ceil(70 / 8) = 9, 5, 3
    model = build(family, out_strides=(8, 16, 32))
    maps = model(images(2, 3, 45, 70))
    assert [m.shape[2:] for m in maps] == [(6, 9), (3, 5), (2, 3)]
    assert model.out_strides == (8, 16, 32)
    assert model.out_channels == tuple(m.shape[1] for m in maps)
    assert model.out_channels == dict(large=(16, 24, 24)).get(
        family, (16, 24, 32))
    time = model.timesteps
    assert all(m.shape[0] == 2 * time and m.is_contiguous(
        memory_format=torch.channels_last if family == 'masked' else
        torch.contiguous_format) for m in maps)


def test_without_the_key_strides_and_channels_are_those_of_the_stages():
    model = build(out_indices=(0, 3, 4))
    assert model.out_strides == (2, 16, 16)
    assert model.out_channels == (4, 24, 32)
    assert not any(k.startswith('extra') for k in model.state_dict())
    assert build().out_strides == (16, )


def test_the_downsampling_by_hand():
    model = build(out_strides=(8, 16, 16, 32, 64))
    x = images()
    with torch.no_grad():
        *_, last, half, quarter = model(x)
        for m, expected, actual in ((model.extra[0], last, half),
                                    (model.extra[1], half, quarter)):
            spikes = (expected + 0.5).floor().clamp(0, 4) / 4
            conv, norm = m.conv, m.norm
            expected = nn.functional.conv2d(
                spikes, conv.weight, conv.bias, stride=2, padding=1)
            expected = nn.functional.batch_norm(
                expected, norm.running_mean, norm.running_var, norm.weight,
                norm.bias, eps=norm.eps)
            torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def test_the_stages_stay_as_they_are():
    plain, more = (build(out_indices=(2, 3, 4)), build(**YOLO))
    x, state = images(), more.state_dict()
    for key, value in plain.state_dict().items():
        assert torch.equal(value, state[key]), key
    with torch.no_grad():
        a, b = plain(x), more(x)
    assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    new = more.load_state_dict(plain.state_dict(), strict=False)
    assert not new.unexpected_keys
    names = ('conv.weight', 'conv.bias', 'norm.weight', 'norm.bias',
             'norm.running_mean', 'norm.running_var')
    assert new.missing_keys == [f'extra.0.{n}' for n in names]


def test_initial_weights_of_the_stages_are_those_without_the_key():
    states = []
    for keys in (dict(out_indices=(2, 3, 4)), YOLO):
        model = ESpikeFormer(BASE, **keys)
        torch.manual_seed(0)
        model.init_weights()
        states.append(model.state_dict())
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())
    # Kaiming: a normal distribution of variance 2 / fan-out
    deviation = states[1]['extra.0.conv.weight'].std()
    assert deviation == pytest.approx((2 / (32 * 9))**0.5, rel=0.05)


@pytest.mark.parametrize('neuron', [SFA, dict(SFA, timesteps=2),
                                    dict(type='mmsnn.LIFNeuron', timesteps=2)])
def test_in_spike_trains(neuron):
    model = build(neuron=neuron, **YOLO)
    check, x = EqualityCheck(model, to_spike_train(model)), images()
    with torch.no_grad():
        check.compare_calls(lambda: model(x), lambda: check.spiking(x))
    assert check.report.equal
    row = next(r for r in check.report.rows
               if r.module == 'extra.0.conv.neuron')
    assert row.training_spikes


def test_its_synaptic_operations_by_hand():
    model = build(out_indices=4, out_strides=(16, 32))
    with torch.no_grad(), to_spike_train(model, 'counts') as spiking:
        last, _ = spiking(images(1, 3, 64, 48))  # 4 x 3 positions, then 2 x 2
    record, = (r for r in spiking.trace
               if r.module == 'extra.0.conv' and r.kind == 'conv')
    counts = (last + 0.5).floor().clamp(0, 4)
    # kernels at rows 0 and 2, columns 0 and 2, reach one further
    rows = torch.tensor([1, 2, 1, 1]).view(-1, 1)
    columns = torch.tensor([1, 2, 1])
    assert record.sops == int((counts * rows * columns).sum()) * 32
    assert record.spiking and record.macs == 0


def test_deployed_and_folded():
    model = build('large', **dict(YOLO, out_indices=(2, 3)))
    x = images()
    other = copy.deepcopy(model)
    other.switch_to_deploy()
    fold_norms(other)
    assert isinstance(other.extra[0].norm, nn.Identity)
    with torch.no_grad():
        for a, b in zip(model(x), other(x)):
            torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9)


def test_frozen_stages_leave_it_trainable():
    model = build(frozen_stages=4, norm_eval=True, **YOLO).train()
    assert {k.split('.')[0] for k, p in model.named_parameters()
            if p.requires_grad} == {'extra'}
    assert not model.extra[0].norm.training
    model(images())[-1].square().sum().backward()
    assert model.extra[0].conv.weight.grad.any()


def test_its_layer_is_that_of_what_is_behind_the_backbone():
    model = build(**YOLO)
    assert model.get_layer_depth('backbone.extra.0.conv.weight',
                                 'backbone.') == (6, 7)
    assert model.get_layer_depth('stages.4.blocks.0.mlp.reduce.conv.bias') == (
        5, 7)


def test_hidden_patches_stay_hidden():
    model = build('masked', **YOLO)
    assert model.patch_multiple == 32
    mask = torch.tensor([[[True, False], [False, True]]] * 2)
    x = images()
    with torch.no_grad():
        maps = model(x, mask)
        noisy = x.clone()
        noisy[:, :, :32, 32:] = 9
        again = model(noisy, mask)
    assert maps[-1].shape == (2, 32, 2, 2)
    assert not maps[-1][:, :, 0, 1].any() and maps[-1][:, :, 0, 0].any()
    assert all(torch.equal(a, b) for a, b in zip(maps, again))
    with pytest.raises(ValueError, match='a patch side p that is a multiple '
                                         'of 32'):
        model(x, torch.ones(2, 4, 4, dtype=torch.bool).tril())


def test_a_misspelt_key_names_the_nearest():
    with pytest.raises(TypeError, match="has no key 'out_stride' "
                       r"\(did you mean 'out_strides'\?\)"):
        ESpikeFormer(out_stride=(8, 16, 32))
