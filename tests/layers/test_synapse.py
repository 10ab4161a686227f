import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.layers import (
    SpikeConv1d,
    SpikeConv2d,
    SpikeConv3d,
    SpikeConvTranspose1d,
    SpikeConvTranspose2d,
    SpikeConvTranspose3d,
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


def test_conv1d_by_hand():
    conv = SpikeConv1d(1, 1, 3, padding=1, neuron=SFA4)
    conv.weight.data = torch.tensor([[[4., 8., -4.]]])
    conv.bias.data.fill_(0.5)
    # 0.4 fires not, 0.6 once, 2.2 twice, 9 four times: a quarter each.
    x = torch.tensor([[[0.4, 0.6, 2.2, 9.]]])
    expected = torch.tensor([[[-0.5, 0.5, 1.5, 10.5]]])
    assert torch.equal(conv(x), expected)


def test_conv3d_is_a_neuron_in_front_of_a_conv():
    torch.manual_seed(0)
    conv = SpikeConv3d(2, 4, (1, 2, 3), stride=2, groups=2, neuron=SFA4)
    x = torch.rand(2, 2, 3, 5, 6) * 5 - 0.5
    expected = F.conv3d(fire(x), conv.weight, conv.bias, 2, groups=2)
    assert torch.equal(conv(x), expected)


def additions(axes, size, out, kernel, stride, padding, transposed):
    """Output elements that each input position reaches, by going through
    all pairs of positions along each axis."""
    reach = torch.ones([size] * axes, dtype=torch.long)
    for axis in range(axes):
        one = torch.tensor([
            sum((o * stride - padding <= i < o * stride - padding + kernel)
                if not transposed else
                (i * stride - padding <= o < i * stride - padding + kernel)
                for o in range(out)) for i in range(size)
        ])
        reach = reach * one.view([-1] + [1] * (axes - 1 - axis))
    return reach


@pytest.mark.parametrize('kind,axes', [
    (SpikeConv1d, 1), (SpikeConv2d, 2), (SpikeConv3d, 3),
    (SpikeConvTranspose1d, 1), (SpikeConvTranspose2d, 2),
    (SpikeConvTranspose3d, 3)])
@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_synaptic_operations_in_any_number_of_axes(kind, axes, form):
    torch.manual_seed(0)
    conv = kind(2, 6, 3, stride=2, padding=1, groups=2, neuron=SFA4).double()
    x = torch.rand(2, 2, *[4] * axes, dtype=torch.float64) * 5
    with to_spike_train(conv, form) as converted:
        out = converted(x)
    torch.testing.assert_close(out, conv(x), rtol=0, atol=1e-12)
    transposed = 'Transpose' in kind.__name__
    reach = additions(axes, 4, out.shape[-1], 3, 2, 1, transposed)
    spikes = (fire(x) * 4).sum((0, 1)).long()
    row = next(r for r in converted.trace if r.kind == 'conv')
    assert row.sops == (spikes * reach).sum() * 3  # 6 outputs, 2 groups
    assert row.geometry['kernel'] == [3] * axes
    assert converted.trace.total('emitted') == spikes.sum()


@pytest.mark.parametrize('spiking,plain', [
    (SpikeConv1d(3, 4, 3, neuron=SFA4), nn.Conv1d(3, 4, 3)),
    (SpikeConv3d(3, 4, 3, neuron=SFA4), nn.Conv3d(3, 4, 3)),
    (SpikeConvTranspose1d(3, 4, 2, neuron=SFA4), nn.ConvTranspose1d(3, 4, 2)),
    (SpikeConvTranspose3d(3, 4, 2, neuron=SFA4), nn.ConvTranspose3d(3, 4, 2)),
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
