import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

BACKBONE = dict(
    type='mmsnn.ESpikeFormer',
    arch=dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 2, 1]),
    out_indices=(1, 2, 3, 4))
WIDTHS = [8, 16, 24, 32]
SFA = dict(type='mmsnn.SFANeuron')
#: Stem, 1 + 1 + 1 + 2 + 1 blocks, the rest: 8 layers; 0.5 to the power of 7
#: minus the layer, times the learning rate of 0.1.
RATES = {
    'backbone.stages.0.downsample.conv.weight': 0.1 / 128,
    'backbone.stages.0.blocks.0.mixer.expand.conv.weight': 0.1 / 64,
    'backbone.stages.2.downsample.norm.bias': 0.1 / 16,
    'backbone.stages.3.blocks.1.mlp.reduce.conv.bias': 0.1 / 4,
    'backbone.stages.4.blocks.0.attention.query.norm.weight': 0.1 / 2,
}


def classifier():
    init_default_scope('mmpretrain')
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=BACKBONE,
            head=dict(type='LinearClsHead', num_classes=3, in_channels=32)))


def detector():
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    return MODELS.build(
        dict(
            type='RetinaNet',
            backbone=BACKBONE,
            neck=dict(
                type='mmsnn.SpikingModule',
                neuron=SFA,
                module=dict(type='FPN', in_channels=WIDTHS, out_channels=8,
                            num_outs=4)),
            bbox_head=dict(
                type='RetinaHead', num_classes=2, in_channels=8,
                feat_channels=8, stacked_convs=1,
                anchor_generator=dict(
                    type='AnchorGenerator', ratios=[1.], scales=[4],
                    strides=[4, 8, 16, 16]))))


def segmentor():
    pytest.importorskip('mmseg')
    init_default_scope('mmseg')
    return MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=BACKBONE,
            neck=dict(
                type='mmsnn.SpikingModule',
                neuron=SFA,
                module=dict(type='FPN', in_channels=WIDTHS, out_channels=8,
                            num_outs=4)),
            decode_head=dict(
                type='FPNHead', num_classes=3, channels=8,
                in_channels=[8] * 4, in_index=[0, 1, 2, 3],
                feature_strides=[4, 8, 16, 16]),
            test_cfg=dict(mode='whole')))


@pytest.mark.parametrize('build', [classifier, detector, segmentor])
def test_learning_rates_by_hand(build):
    model = build()
    for parameter in model.backbone.stages[1].parameters():
        parameter.requires_grad = False  # frozen: in no group
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=0.1, weight_decay=0.05),
            constructor='mmsnn.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5, norm_decay_mult=0.)))
    groups = {g['param_name']: g for g in wrapper.optimizer.param_groups}
    assert set(groups) == {
        k for k, p in model.named_parameters() if p.requires_grad}
    assert not [k for k in groups if k.startswith('backbone.stages.1.')]
    for name, rate in RATES.items():
        assert groups[name]['lr'] == pytest.approx(rate), name
        assert groups[name]['weight_decay'] == (
            0. if '.norm.' in name else 0.05)
    others = [g['lr'] for k, g in groups.items()
              if not k.startswith('backbone.')]
    assert others and set(others) == {0.1}


def test_a_backbone_that_does_not_know_its_layers():
    init_default_scope('mmengine')
    model = nn.ModuleDict(dict(backbone=nn.Linear(2, 2)))
    with pytest.raises(ValueError, match='optim_wrapper.constructor .* has '
                       'the backbone Linear'):
        build_optim_wrapper(
            model,
            dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=0.),
                 constructor='mmsnn.LayerDecayOptimWrapperConstructor',
                 paramwise_cfg=dict(layer_decay_rate=0.5)))


def test_an_optimiser_without_weight_decay():
    init_default_scope('mmpretrain')
    with pytest.raises(ValueError, match='needs the key weight_decay'):
        build_optim_wrapper(
            classifier(),
            dict(optimizer=dict(type='SGD', lr=0.1),
                 constructor='mmsnn.LayerDecayOptimWrapperConstructor',
                 paramwise_cfg=dict(layer_decay_rate=0.5)))
