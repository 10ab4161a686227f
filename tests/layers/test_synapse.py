import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn
from torch.nn import functional as F

from mmsnn.layers import (
    SpikeConv2d,
    SpikeConvTranspose2d,
    SpikeLinear,
    conv_norm,
)
from mmsnn.neurons import SFANeuron

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)


def fire(u, max_spikes=4):
    return sum((u >= d - 0.5).float()
               for d in range(1, max_spikes + 1)) / max_spikes


def test_conv_is_a_neuron_in_front_of_a_conv():
    torch.manual_seed(0)
    conv = SpikeConv2d(
        4, 6, 3, stride=2, padding=1, groups=2, bias=True, neuron=SFA4)
    x = torch.rand(2, 4, 7, 6) * 5 - 0.5
    expected = F.conv2d(
        fire(x), conv.weight, conv.bias, stride=2, padding=1, groups=2)
    assert torch.equal(conv(x), expected)


def test_transposed_conv_by_hand():
    layer = SpikeConvTranspose2d(1, 1, 2, stride=2, bias=True, neuron=SFA4)
    layer.weight.data = torch.tensor([[[[4., 8.], [0., -4.]]]])
    layer.bias.data.fill_(0.5)
    # 0.4 fires not, 0.6 once, 2.2 twice, 9 four times: a quarter each.
    x = torch.tensor([[[[0.4, 0.6], [2.2, 9.]]]])
    expected = torch.tensor([[[
        [0.5, 0.5, 1.5, 2.5],
        [0.5, 0.5, 0.5, -0.5],
        [2.5, 4.5, 4.5, 8.5],
        [0.5, -1.5, 0.5, -3.5]]]])
    assert torch.equal(layer(x), expected)


def test_transposed_conv_with_groups_and_output_size():
    torch.manual_seed(0)
    layer = SpikeConvTranspose2d(
        4, 6, 3, stride=2, padding=1, groups=2, neuron=SFA4)
    x = torch.rand(2, 4, 4, 5) * 5 - 0.5
    for output_size in ((7, 9), (8, 10)):
        expected = F.conv_transpose2d(
            fire(x), layer.weight, layer.bias, 2, 1,
            [1 - s % 2 for s in output_size], 2)
        assert torch.equal(layer(x, output_size), expected)
    assert torch.equal(layer(x), layer(x, output_size=(7, 9)))


def test_linear_is_a_neuron_in_front_of_a_linear():
    torch.manual_seed(0)
    fc = SpikeLinear(4, 6, neuron=SFA4)
    x = torch.rand(2, 3, 4) * 5 - 0.5
    assert torch.equal(fc(x), F.linear(fire(x), fc.weight, fc.bias))


@pytest.mark.parametrize('spiking,plain', [
    (SpikeConv2d(3, 4, 3, neuron=SFA4), nn.Conv2d(3, 4, 3)),
    (SpikeConvTranspose2d(3, 4, 2, neuron=SFA4), nn.ConvTranspose2d(3, 4, 2)),
    (SpikeLinear(3, 4, neuron=SFA4), nn.Linear(3, 4))])
def test_a_plain_layers_state_dict_loads(spiking, plain):
    spiking.load_state_dict(plain.state_dict(), strict=True)
    assert torch.equal(spiking.weight, plain.weight)


def test_from_plain_shares_the_parameters_and_leaves_the_layer_alone():
    conv = nn.Conv2d(3, 4, 3, stride=2, padding_mode='zeros')
    spiking = SpikeConv2d.from_plain(conv, SFA4)
    assert spiking.weight is conv.weight
    assert spiking.stride == (2, 2)
    assert isinstance(spiking.neuron, SFANeuron)
    assert not list(conv.children())
    assert set(spiking.state_dict()) == {'weight', 'bias'}
    # Hooks and parameters that one gets later are not the other's.
    spiking.register_forward_hook(lambda *_: 1 / 0)
    conv(torch.zeros(1, 3, 5, 5))


def test_conv_cfg_of_upstream_modules():
    layer = ConvModule(
        4, 6, 3, conv_cfg=dict(type='mmsnn.SpikeConv2d', neuron=SFA4),
        norm_cfg=dict(type='BN'), act_cfg=None).eval()
    assert isinstance(layer.conv, SpikeConv2d)
    assert layer(torch.rand(1, 4, 5, 5)).shape == (1, 6, 3, 3)


def test_conv_norm():
    layer = conv_norm(4, 6, 5, stride=2, groups=2, bias=True, neuron=SFA4)
    assert [name for name, _ in layer.named_children()] == ['conv', 'norm']
    assert layer(torch.rand(1, 4, 9, 8)).shape == (1, 6, 5, 4)
    assert not layer.conv.neuron.inplace
    assert isinstance(layer.norm, nn.BatchNorm2d)

    stem = conv_norm(3, 4, 7)
    assert type(stem.conv) is nn.Conv2d
    assert stem.conv.bias is None

    twin = conv_norm(4, 4, 1, neuron=dict(type='ReLU'), inplace=True)
    assert isinstance(twin.conv.neuron, nn.ReLU)
