"""What is said where a neck joins maps of equal strides."""

import copy
import pickle

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.models import ESpikeFormer
from mmsnn.models.dense import spiking_module

SFA = dict(type='mmsnn.SFANeuron', max_spikes=4)
DIMS = [8, 12, 16, 20]
SAID = (r'{} joins maps of which each has half the sides of the one before, '
        r'but these have {}: {} \((Sizes|The size) of tensor')


@pytest.fixture(autouse=True)
def upstream():
    pytest.importorskip('mmdet.models')


def maps(side=64, **keys):
    backbone = ESpikeFormer(
        dict(embed_dims=DIMS, depths=[0] * 5, num_heads=4), neuron=SFA,
        out_indices=(2, 3, 4), **keys)
    return backbone(torch.rand(2, 3, side, side))


NECKS = dict(
    YOLOXPAFPN=dict(num_csp_blocks=1, out_channels=8),
    CSPNeXtPAFPN=dict(num_csp_blocks=1, out_channels=8))


def neck(name):
    torch.manual_seed(0)
    return spiking_module(dict(
        type=f'mmdet.{name}', in_channels=DIMS[1:], **NECKS[name]))


@pytest.mark.parametrize('name', list(NECKS))
def test_it_names_the_key_that_helps(name):
    module = neck(name)
    message = SAID.format(
        name, '8 x 8, 4 x 4, 4 x 4', 'give the backbone strides that double, '
        r'such as out_strides=\(8, 16, 32\)')
    for copied in (module, copy.deepcopy(module),
                   pickle.loads(pickle.dumps(module))):
        with pytest.raises(RuntimeError, match=message):
            copied(maps())
    outs = module(maps(out_strides=(8, 16, 32)))
    assert [out.shape[2] for out in outs] == [8, 4, 2]


def test_odd_sides_need_padding():
    with pytest.raises(RuntimeError, match=SAID.format(
            'YOLOXPAFPN', '9 x 9, 5 x 5, 3 x 3', 'give the data preprocessor '
            'a pad_size_divisor that all strides divide, such as 32')):
        neck('YOLOXPAFPN')(maps(70, out_strides=(8, 16, 32)))


def test_a_head_of_a_panoptic_model():
    head = spiking_module(dict(
        type='mmdet.PanopticFPNHead', in_channels=8, inner_channels=32,
        num_things_classes=1, num_stuff_classes=1))
    levels = [torch.rand(1, 8, side, side) for side in (16, 8, 4, 4)]
    with pytest.raises(RuntimeError, match='PanopticFPNHead joins maps .* '
                       r'16 x 16, 8 x 8, 4 x 4, 4 x 4: .*out_strides='):
        head(levels)
    levels[-1] = levels[-1][..., ::2, ::2]
    head(levels)


class Join(nn.Module):
    error = RuntimeError('The size of tensor a (4) must match')

    def forward(self, maps):
        raise self.error


@pytest.mark.parametrize('sides,error', [
    ((8, 4), Join.error), ((4, ), Join.error),
    ((4, 4), ValueError('must match')), ((4, 4), RuntimeError('no memory'))])
def test_other_errors_stay_as_they_are(sides, error):
    module = spiking_module(dict(type=Join))
    module.error = error
    text = str(error)
    with pytest.raises(type(error)) as raised:
        module([torch.rand(1, 1, side, side) for side in sides])
    assert raised.value is error and str(error) == text


def test_a_neck_with_doubled_strides_in_spike_trains():
    model = nn.Sequential(
        ESpikeFormer(dict(embed_dims=DIMS, depths=[1] * 5, num_heads=4),
                     neuron=SFA, out_strides=(8, 16, 32)),
        neck('YOLOXPAFPN')).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0, 1)
            module.momentum = None
    x = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        model.train()(x)
        model.eval()
        check = EqualityCheck(model, to_spike_train(model))
        check.compare_calls(lambda: model(x), lambda: check.spiking(x))
    assert check.report.equal and not check.report.silent
