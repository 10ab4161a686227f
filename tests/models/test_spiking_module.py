import mmcv.cnn
import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional as F

from mmsnn.layers import (
    SpikeConv1d,
    SpikeConv2d,
    SpikeConv3d,
    SpikeConvTranspose3d,
    SpikeLinear,
    SpikeMultiheadAttention,
)
from mmsnn.layers.activation import ReplacedActivation
from mmsnn.models.dense import make_spiking, spiking_module
from mmsnn.neurons import is_spiking

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)
WIDTHS = [8, 16, 24, 32]
FPN = dict(
    type='mmseg.FPN', in_channels=WIDTHS, out_channels=8, num_outs=4)
FPN_HEAD = dict(
    type='mmseg.FPNHead',
    in_channels=[8] * 4,
    in_index=[0, 1, 2, 3],
    feature_strides=[4, 8, 16, 32],
    channels=8,
    num_classes=5,
    norm_cfg=dict(type='BN'),
    align_corners=False)


def spiking(module, **kwargs):
    return MODELS.build(
        dict(type='mmsnn.SpikingModule', module=module, neuron=SFA4,
             **kwargs))


def fire(u):
    return sum((u >= d - 0.5).float() for d in range(1, 5)) / 4


def maps():
    torch.manual_seed(0)
    return [
        torch.rand(2, c, s, s) * 4 for c, s in zip(WIDTHS, (16, 8, 4, 2))
    ]


@pytest.mark.parametrize('config', [FPN, FPN_HEAD])
def test_upstream_neck_and_head(config):
    pytest.importorskip('mmseg')
    plain = MODELS.build(config)
    ours = spiking(config)
    assert type(ours) is type(plain)
    # Parameters keep their names, so a checkpoint of the plain one loads.
    ours.load_state_dict(plain.state_dict(), strict=True)
    convs = [m for m in ours.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == len(
        [m for m in plain.modules() if isinstance(m, nn.Conv2d)]) > 0
    assert all(type(m) is SpikeConv2d and m.neuron.max_spikes == 4
               for m in convs)
    assert not any(isinstance(m, nn.ReLU) for m in ours.modules())


def test_neck_computes_what_it_should():
    pytest.importorskip('mmseg')
    neck = spiking(FPN).eval()
    inputs = maps()
    laterals = [
        F.conv2d(fire(x), m.conv.weight, m.conv.bias)
        for x, m in zip(inputs, neck.lateral_convs)
    ]
    for i in (3, 2, 1):
        laterals[i - 1] = laterals[i - 1] + F.interpolate(
            laterals[i], scale_factor=2)
    expected = [
        F.conv2d(fire(x), m.conv.weight, m.conv.bias, padding=1)
        for x, m in zip(laterals, neck.fpn_convs)
    ]
    for actual, out in zip(neck(inputs), expected):
        torch.testing.assert_close(actual, out)


def test_classification_head():
    pytest.importorskip('mmpretrain')
    config = dict(
        type='mmpretrain.LinearClsHead', in_channels=8, num_classes=3)
    plain, ours = MODELS.build(config), spiking(config)
    ours.load_state_dict(plain.state_dict(), strict=True)
    assert type(ours.fc) is SpikeLinear
    x = torch.rand(4, 8) * 4
    torch.testing.assert_close(ours((x, )), plain((fire(x), )))


def test_initial_weights_are_those_of_the_plain_module():
    pytest.importorskip('mmseg')
    states = []
    for build in (MODELS.build, spiking):
        torch.manual_seed(0)
        head = build(FPN_HEAD)
        head.init_weights()
        states.append(head.state_dict())
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(states[1][name], value), name


def test_more_keys_go_on_to_the_module():
    module = spiking(dict(type=nn.Linear, in_features=3), out_features=7)
    assert module.out_features == 7
    module = spiking(dict(type=nn.Linear, in_features=3, out_features=1),
                     out_features=7)
    assert module.out_features == 7


def test_activations_make_room_for_the_next_neuron():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GELU(),
        ConvModule(4, 4, 3, act_cfg=dict(type='HSwish')), nn.LeakyReLU(),
        mmcv.cnn.Conv2d(4, 4, 1), mmcv.cnn.Linear(5, 2))
    changed = make_spiking(net, SFA4)
    assert changed is net
    kinds = [type(m) for m in net]
    assert kinds == [SpikeConv2d, ReplacedActivation, ConvModule,
                     ReplacedActivation, SpikeConv2d, SpikeLinear]
    assert not net[2].with_activation
    assert isinstance(net[2].activate, nn.Identity)  # TOOD calls it
    assert type(net[2].conv) is SpikeConv2d


def test_what_is_spiking_already_stays():
    twin = SpikeConv2d(3, 4, 1, neuron=dict(type='ReLU'))
    mine = SpikeLinear(3, 4, neuron=dict(SFA4, max_spikes=8))
    net = make_spiking(nn.Sequential(twin, mine), SFA4)
    assert net[0] is twin and isinstance(twin.neuron, nn.ReLU)
    assert net[1] is mine and mine.neuron.max_spikes == 8


def test_relu_twin_of_a_head():
    net = make_spiking(
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)),
        dict(type='ReLU'))
    assert [type(m) for m in net] == [
        SpikeConv2d, ReplacedActivation, SpikeConv2d]
    assert not any(is_spiking(m) for m in net.modules())
    x = torch.randn(1, 3, 2, 2)
    expected = F.conv2d(x.relu(), net[0].weight, net[0].bias).relu()
    expected = F.conv2d(expected, net[2].weight, net[2].bias)
    torch.testing.assert_close(net(x), expected)


def test_what_is_shared_stays_shared():
    conv, relu = nn.Conv2d(2, 2, 1), nn.ReLU()
    net = nn.ModuleDict(
        dict(
            first=nn.Sequential(conv, relu, conv, relu),
            second=nn.Sequential(conv)))
    make_spiking(net, SFA4)
    assert type(net['first'][0]) is SpikeConv2d
    assert net['first'][2] is net['first'][0] is net['second'][0]
    assert type(net['first'][1]) is type(net['first'][3])
    assert type(net['first'][1]) is ReplacedActivation


@pytest.mark.parametrize('layer,name', [
    (nn.Bilinear(2, 2, 2), 'Bilinear'),
    (nn.LSTM(2, 2), 'LSTM'),
    (nn.EmbeddingBag(2, 2), 'EmbeddingBag'),
])
def test_a_synapse_of_unknown_kind_is_named_by_path(layer, name):
    net = nn.Sequential(
        nn.Conv2d(2, 2, 1), nn.ModuleDict(dict(up=nn.Sequential(layer))))
    with pytest.raises(TypeError, match=f'^1.up.0: .* {name} is known'):
        make_spiking(net, SFA4)
    assert make_spiking(net, SFA4, keep_real=[name])[1]['up'][0] is layer


@pytest.mark.parametrize('layer,form', [
    (nn.Conv1d(2, 2, 1), SpikeConv1d),
    (nn.Conv3d(2, 2, 1), SpikeConv3d),
    (nn.ConvTranspose3d(2, 2, 2), SpikeConvTranspose3d),
    (mmcv.cnn.Conv3d(2, 2, 1), SpikeConv3d),
    (mmcv.cnn.ConvTranspose3d(2, 2, 2), SpikeConvTranspose3d),
    (nn.MultiheadAttention(4, 2), SpikeMultiheadAttention),
])
def test_layers_with_a_spiking_form(layer, form):
    net = make_spiking(nn.Sequential(layer), SFA4)
    assert type(net[0]) is form
    assert net.state_dict().keys() == nn.Sequential(layer).state_dict().keys()


def test_embeddings_and_norms_are_no_synapses():
    net = nn.Sequential(
        nn.Embedding(3, 4), nn.LayerNorm((4, 4)), nn.GroupNorm(2, 4),
        nn.BatchNorm2d(4), nn.PReLU(4))
    kinds = [type(m) for m in net]
    assert [type(m) for m in make_spiking(net, SFA4)] == kinds


def test_an_activation_is_kept_where_it_is_named():
    net = nn.Sequential(ConvModule(3, 4, 1), nn.Linear(4, 2))
    kept = make_spiking(net, SFA4, keep_real=['0.activate', '1'])
    assert kept[0].with_activation and isinstance(kept[0].activate, nn.ReLU)
    assert type(kept[1]) is nn.Linear and type(kept[0].conv) is SpikeConv2d


def test_a_misspelt_key_is_not_taken_for_one_of_the_module():
    with pytest.raises(TypeError, match="has no key 'nueron' "
                       r"\(did you mean 'neuron'\?\)"):
        spiking_module(dict(type=nn.Identity), nueron=dict(type='ReLU'))
