"""What stays real, what raises, and what a ReLU twin computes."""

import math

import mmcv.cnn
import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.layers import (
    SpikeConv2d,
    SpikeConvTranspose2d,
    SpikeLinear,
    SpikingSynapse,
)
from mmsnn.layers.activation import ReplacedActivation
from mmsnn.models.dense import make_spiking, spiking_module

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)
RELU = dict(type='ReLU')
BACKBONE = dict(
    type='mmsnn.ESpikeFormer',
    arch=dict(embed_dims=[8, 8, 8, 8], depths=[1] * 5, num_heads=2),
    neuron=SFA4)
MASK_HEAD = dict(
    type='mmdet.FCNMaskHead', num_convs=1, in_channels=4,
    conv_out_channels=3, num_classes=2,
    loss_mask=dict(type='mmdet.CrossEntropyLoss', use_mask=True))


def fire(u):
    return sum((u >= d - 0.5).float() for d in range(1, 5)) / 4


def encoder():
    return nn.ModuleDict(
        dict(
            attention=nn.MultiheadAttention(4, 2),
            mlp=nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))))


def test_a_mask_head_by_hand():
    pytest.importorskip('mmdet.models')
    head = spiking_module(MASK_HEAD)
    assert type(head.upsample) is SpikeConvTranspose2d
    head.init_weights()
    x = torch.rand(5, 4, 3, 3) * 5
    conv, up, logits = head.convs[0].conv, head.upsample, head.conv_logits
    y = F.conv2d(fire(x), conv.weight, conv.bias, padding=1)
    y = F.conv_transpose2d(fire(y), up.weight, up.bias, stride=2)
    y = F.conv2d(fire(y), logits.weight, logits.bias)
    torch.testing.assert_close(head(x), y)


def test_sops_of_a_mask_head():
    pytest.importorskip('mmdet.models')
    head = spiking_module(MASK_HEAD)
    with to_spike_train(head) as converted:
        converted(torch.ones(1, 4, 3, 3))  # one spike each
    sops = {r.module: r.sops for r in converted.trace if r.sops}
    # Kernel positions inside: 4 corners of 4, 4 edges of 6, 9 in the centre.
    assert sops['convs.0.conv'] == 4 * 3 * (4 * 4 + 4 * 6 + 9)
    spikes = sum(next(
        r for r in converted.trace if r.module == 'upsample.neuron').spikes)
    assert sops.get('upsample', 0) == spikes * 3 * 2 * 2


@pytest.mark.parametrize('names', [
    ['MultiheadAttention'], ('attention', ), ['attention', '']])
def test_what_stays_real(names):
    net = encoder()
    attention = net['attention']
    make_spiking(net, SFA4, keep_real=names)
    assert net['attention'] is attention
    assert type(attention.out_proj) not in (SpikeLinear, nn.Linear)
    kind = nn.Linear if '' in names else SpikeLinear
    assert type(net['mlp'][0]) is type(net['mlp'][2]) is kind


def test_a_shared_module_stays_real_under_any_of_its_names():
    conv = nn.Conv2d(2, 2, 1)
    net = nn.ModuleDict(dict(a=conv, b=conv, c=nn.Conv2d(2, 2, 1)))
    make_spiking(net, SFA4, keep_real=['b'])
    assert net['a'] is net['b'] is conv
    assert type(net['c']) is SpikeConv2d


class Hidden(nn.Module):
    """Weights that are no layer."""

    def __init__(self):
        super().__init__()
        self.codewords = nn.Parameter(torch.zeros(3, 4))
        self.scale = nn.Parameter(torch.ones(3))
        self.fc = nn.Linear(4, 3)


def test_weights_outside_of_layers_are_named():
    net = nn.Sequential(nn.ModuleDict(dict(encoding=Hidden())))
    with pytest.raises(TypeError, match='^0.encoding: no spiking form of '
                       "Hidden .*'0.encoding', or '0.encoding.codewords' "
                       'alone in keep_real$'):
        make_spiking(net, SFA4)
    assert type(net[0]['encoding'].fc) is nn.Linear
    make_spiking(net, SFA4, keep_real=['0.encoding.codewords'])
    assert type(net[0]['encoding'].fc) is SpikeLinear


DEFORMABLE_HEAD = dict(
    type='mmdet.FCOSHead', num_classes=2, in_channels=4, feat_channels=4,
    stacked_convs=1, dcn_on_last_conv=True, norm_cfg=None)


def test_a_deformable_head_has_a_default(caplog):
    pytest.importorskip('mmdet.models')
    logger = MMLogger.get_instance('placing', logger_name='placing')
    with caplog.at_level('WARNING'):
        logger.addHandler(caplog.handler)
        built = spiking_module(DEFORMABLE_HEAD)
    lines = [r.message for r in caplog.records]
    assert len(lines) == 1 and (
        'stay real, and are charged as such: cls_convs.0.conv, '
        'reg_convs.0.conv (ModulatedDeformConv2dPack: it samples spikes at '
        'positions that it computes)') in lines[0]
    conv = built.cls_convs[0].conv
    assert isinstance(conv, SpikingSynapse) and type(
        conv.conv_offset) is nn.Conv2d
    with pytest.raises(TypeError, match='^FCOSHead: products stay real in '
                       'cls_convs.0.conv, reg_convs.0.conv '):
        spiking_module(DEFORMABLE_HEAD, strict=True)


def test_a_deformable_head_can_stay_as_it_is():
    pytest.importorskip('mmdet.models')
    built = spiking_module(
        DEFORMABLE_HEAD, keep_real=['ModulatedDeformConv2dPack'], strict=True)
    assert type(built.conv_cls) is SpikeConv2d
    assert not isinstance(built.cls_convs[0].conv, SpikingSynapse)
    assert type(built.cls_convs[0].conv.conv_offset) is nn.Conv2d


def test_gates_and_learnt_slopes_stay():
    net = nn.Sequential(
        ConvModule(4, 4, 1, act_cfg=dict(type='Sigmoid')),
        ConvModule(4, 4, 1, act_cfg=dict(type='PReLU')),
        ConvModule(4, 4, 1, act_cfg=dict(type='Swish')), nn.Hardsigmoid(),
        nn.Mish(), mmcv.cnn.Swish())
    keys = set(net.state_dict())
    make_spiking(net, SFA4)
    assert [m.with_activation for m in net[:3]] == [True, True, False]
    assert [type(m) for m in net[3:]] == [
        nn.Hardsigmoid, ReplacedActivation, ReplacedActivation]
    assert set(net.state_dict()) == keys


def test_the_shortcut_of_folded_norms_does_not_pass_the_neuron():
    conv = ConvModule(3, 4, 1, norm_cfg=dict(type='BN'), act_cfg=None,
                      efficient_conv_bn_eval=True)
    net = make_spiking(nn.Sequential(conv), SFA4).eval()
    x = torch.rand(1, 3, 4, 4) * 5
    expected = conv.norm(F.conv2d(fire(x), conv.conv.weight))
    torch.testing.assert_close(net(x), expected)


def test_whole_models_keep_their_spiking_parts():
    neck = dict(type='mmsnn.SpikingModule', neuron=dict(SFA4, max_spikes=8),
                keep_real=['fpn_convs'],
                module=dict(type='mmdet.FPN', in_channels=[8],
                            out_channels=8, num_outs=1))
    pytest.importorskip('mmdet.models')
    model = spiking_module(
        dict(
            type='mmdet.RetinaNet', backbone=BACKBONE, neck=neck,
            bbox_head=dict(type='mmdet.RetinaHead', num_classes=2,
                           in_channels=8, feat_channels=8)), RELU)
    assert type(model.backbone.stages[0].downsample.conv) is nn.Conv2d
    assert model.neck.lateral_convs[0].conv.neuron.max_spikes == 8
    assert type(model.neck.fpn_convs[0].conv) is nn.Conv2d
    assert isinstance(model.bbox_head.retina_cls.neuron, nn.ReLU)


def classifier(**backbone):
    return dict(
        type='mmpretrain.ImageClassifier', backbone=backbone,
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=2,
                  in_channels=512))


def test_a_backbone_that_reads_the_image():
    resnet = classifier(type='mmpretrain.ResNet', depth=18)
    with pytest.raises(ValueError, match='^backbone.conv1: a neuron would '
                       'stand between the image and the first layer of '
                       'ResNet'):
        spiking_module(resnet)
    model = spiking_module(resnet, keep_real=['backbone.conv1'])
    assert type(model.backbone.conv1) is nn.Conv2d
    assert type(model.backbone.layer1[0].conv1) is SpikeConv2d
    model = spiking_module(resnet, keep_real=['backbone'])
    assert type(model.backbone.layer1[0].conv1) is nn.Conv2d
    assert type(model.head.fc) is SpikeLinear


def test_time_is_not_merged_behind_a_whole_model():
    with pytest.raises(ValueError, match='^mean_over_time .* '
                       'ImageClassifier is a whole model'):
        spiking_module(classifier(**BACKBONE), dict(SFA4, timesteps=2),
                       mean_over_time=True)


def test_first_biases_of_class_scores():
    pytest.importorskip('mmdet.models')
    head = spiking_module(
        dict(type='mmdet.RetinaHead', num_classes=2, in_channels=4,
             feat_channels=4, stacked_convs=1))
    head.init_weights()
    assert type(head.retina_cls) is SpikeConv2d
    torch.testing.assert_close(
        head.retina_cls.bias,
        torch.full_like(head.retina_cls.bias, -math.log(99)))
    assert not head.retina_reg.bias.any()
    assert 0.005 < head.cls_convs[0].conv.weight.std() < 0.02


LEVELS = [(2, 4, 6, 5), (2, 4, 3, 3)]
BOX_HEAD = dict(type='mmdet.Shared2FCBBoxHead', in_channels=4,
                fc_out_channels=6, roi_feat_size=3, num_classes=2)


@pytest.mark.parametrize('config,shapes', [
    (dict(type='mmdet.RPNHead', in_channels=4, feat_channels=4), LEVELS),
    (dict(type='mmdet.RetinaHead', num_classes=2, in_channels=4,
          feat_channels=4), LEVELS),
    (dict(type='mmdet.FCOSHead', num_classes=2, in_channels=4,
          feat_channels=4, strides=[4, 8],
          norm_cfg=dict(type='GN', num_groups=2)), LEVELS),
    (BOX_HEAD, (5, 4, 3, 3)),
    (dict(BOX_HEAD, type='mmdet.ConvFCBBoxHead', num_shared_convs=1,
          num_cls_convs=1, num_reg_fcs=1, conv_out_channels=4),
     (5, 4, 3, 3)),
    (MASK_HEAD, (5, 4, 3, 3)),
    (dict(type='mmseg.DepthwiseSeparableFCNHead', in_channels=4, channels=4,
          num_classes=2, num_convs=2, concat_input=False,
          dw_act_cfg=dict(type='ReLU')), [(2, 4, 6, 5)]),
])
def test_relu_twin_is_the_plain_head(config, shapes):
    """Where every layer stands behind a ReLU, as is the input here."""
    pytest.importorskip('mmdet.models')
    pytest.importorskip('mmseg.models')
    plain, twin = MODELS.build(config).eval(), spiking_module(config, RELU)
    for module in plain.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight, std=0.5)
    twin.eval().load_state_dict(plain.state_dict())
    one = isinstance(shapes, tuple)
    x = [torch.rand(s) for s in ([shapes] if one else shapes)]
    x = x[0] if one else x
    torch.testing.assert_close(twin(x), plain(x))


def test_relu_twin_adds_before_its_activation():
    """Sums and interpolations stand between a layer and its neuron."""
    pytest.importorskip('mmseg.models')
    config = dict(
        type='mmseg.FPNHead', in_channels=[4, 4], in_index=[0, 1],
        feature_strides=[4, 8], channels=4, num_classes=2,
        align_corners=False)
    plain, twin = MODELS.build(config).eval(), spiking_module(config, RELU)
    twin.eval().load_state_dict(plain.state_dict())
    x = [torch.rand(1, 4, 4, 4), torch.rand(1, 4, 2, 2)]
    parts = [F.conv2d(y, head[0].conv.weight, head[0].conv.bias, padding=1)
             for y, head in zip(x, plain.scale_heads)]
    parts[1] = F.interpolate(parts[1], scale_factor=2, mode='bilinear')
    expected = plain.conv_seg((parts[0] + parts[1]).relu())
    torch.testing.assert_close(twin(x), expected)
    assert not torch.allclose(plain(x), expected)


def test_two_stages_over_time(dense_config, build_dense, batch):
    config = dense_config('mask_rcnn')
    over_time = dict(SFA4, timesteps=2)
    config.backbone.neuron = config.neck.neuron = over_time
    config.neck.mean_over_time = True
    model = build_dense(config, 'mask_rcnn').eval()
    with to_spike_train(model, form='counts') as converted:
        results = converted.test_step(batch('mask_rcnn'))
    assert [len(r.pred_instances) for r in results] == [4, 4]
    steps = {r.module.split('.')[0]: r.timesteps
             for r in converted.trace if r.kind == 'neuron'}
    assert steps == dict(backbone=2, neck=2, rpn_head=1, roi_head=1)
