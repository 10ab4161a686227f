"""Tiny detectors and segmentors with spiking necks and heads."""

from functools import partial

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from mmengine.structures import InstanceData, PixelData
from torch import nn

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)
WIDTHS = [8, 12, 16, 20]
STRIDES = [4, 8, 16, 16]
CLASSES = 3
MEAN_STD = dict(mean=[128.] * 3, std=[60.] * 3)


def spiking(module, **kwargs):
    return dict(
        type='mmsnn.SpikingModule', neuron=SFA4, module=module, **kwargs)


BACKBONE = dict(
    type='mmsnn.ESpikeFormer',
    arch=dict(embed_dims=WIDTHS, depths=[1] * 5, num_heads=4),
    out_indices=(1, 2, 3, 4),
    neuron=SFA4)
PREPROCESSOR = dict(type='mmdet.DetDataPreprocessor', **MEAN_STD)
FPN = spiking(
    dict(type='mmdet.FPN', in_channels=WIDTHS, out_channels=8, num_outs=4))
ANCHORS = dict(
    type='mmdet.AnchorGenerator', strides=STRIDES, ratios=[0.5, 2.0])
NMS = dict(type='nms', iou_threshold=0.5)
RPN = spiking(
    dict(
        type='mmdet.RPNHead',
        in_channels=8,
        feat_channels=8,
        anchor_generator=dict(ANCHORS, scales=[4])))


def roi_extractor(size):
    return dict(
        type='mmdet.SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=2),
        out_channels=8,
        featmap_strides=STRIDES)


BOX_HEAD = dict(
    type='mmdet.Shared2FCBBoxHead',
    in_channels=8,
    fc_out_channels=16,
    roi_feat_size=4,
    num_classes=CLASSES,
    loss_bbox=dict(type='mmdet.SmoothL1Loss'))
CONV_BOX_HEAD = dict(
    BOX_HEAD,
    type='mmdet.ConvFCBBoxHead',
    num_shared_convs=1,
    num_shared_fcs=1,
    num_cls_convs=0,
    num_cls_fcs=1,
    num_reg_fcs=1,
    conv_out_channels=8,
    reg_class_agnostic=True,
    norm_cfg=dict(type='BN'))
MASK_HEAD = dict(
    type='mmdet.FCNMaskHead',
    num_convs=1,
    in_channels=8,
    conv_out_channels=8,
    num_classes=CLASSES,
    norm_cfg=dict(type='BN'),
    loss_mask=dict(type='mmdet.CrossEntropyLoss', use_mask=True))


def assigner(pos, neg, low):
    return dict(
        type='mmdet.MaxIoUAssigner', pos_iou_thr=pos, neg_iou_thr=neg,
        min_pos_iou=low)


def rcnn_train(iou):
    sampler = dict(
        type='mmdet.RandomSampler', num=16, pos_fraction=0.5,
        add_gt_as_proposals=True)
    return dict(
        assigner=assigner(iou, iou, iou), sampler=sampler, mask_size=8,
        pos_weight=-1)


RPN_TRAIN = dict(
    assigner=assigner(0.5, 0.3, 0.1),
    sampler=dict(
        type='mmdet.RandomSampler', num=1000, pos_fraction=0.5,
        add_gt_as_proposals=False),
    allowed_border=-1,
    pos_weight=-1)
PROPOSALS = dict(nms_pre=20, max_per_img=8, nms=NMS, min_bbox_size=0)
RCNN_TEST = dict(score_thr=0., nms=NMS, max_per_img=4, mask_thr_binary=0.5)


def two_stage(kind, roi_head, rcnn):
    return dict(
        type=kind,
        data_preprocessor=dict(PREPROCESSOR, pad_mask=True),
        backbone=BACKBONE,
        neck=FPN,
        rpn_head=RPN,
        roi_head=roi_head,
        train_cfg=dict(rpn=RPN_TRAIN, rpn_proposal=PROPOSALS, rcnn=rcnn),
        test_cfg=dict(rpn=PROPOSALS, rcnn=RCNN_TEST))


def one_stage(kind, bbox_head, neck=FPN, **train_cfg):
    return dict(
        type=kind,
        data_preprocessor=PREPROCESSOR,
        backbone=BACKBONE,
        neck=neck,
        bbox_head=spiking(bbox_head),
        train_cfg=dict(allowed_border=-1, pos_weight=-1, **train_cfg),
        test_cfg=dict(nms_pre=20, score_thr=0., nms=NMS, max_per_img=4))


MASK_RCNN = two_stage(
    'mmdet.MaskRCNN',
    dict(
        type='mmdet.StandardRoIHead',
        bbox_roi_extractor=roi_extractor(4),
        bbox_head=spiking(BOX_HEAD),
        mask_roi_extractor=roi_extractor(4),
        mask_head=spiking(MASK_HEAD)), rcnn_train(0.5))
CASCADE = two_stage(
    'mmdet.CascadeRCNN',
    dict(
        type='mmdet.CascadeRoIHead',
        num_stages=2,
        stage_loss_weights=[1, 0.5],
        bbox_roi_extractor=roi_extractor(4),
        bbox_head=[
            spiking(dict(CONV_BOX_HEAD)),
            spiking(dict(BOX_HEAD, reg_class_agnostic=True))
        ],
        mask_roi_extractor=roi_extractor(4),
        mask_head=spiking(MASK_HEAD)), [rcnn_train(0.5), rcnn_train(0.6)])
RETINANET = one_stage(
    'mmdet.RetinaNet',
    dict(
        type='mmdet.RetinaHead', num_classes=CLASSES, in_channels=8,
        feat_channels=8, stacked_convs=1,
        anchor_generator=dict(
            ANCHORS, octave_base_scale=4, scales_per_octave=1)),
    assigner=assigner(0.5, 0.4, 0),
    sampler=dict(type='mmdet.PseudoSampler'))
FCOS = one_stage(
    'mmdet.FCOS',
    dict(
        type='mmdet.FCOSHead', num_classes=CLASSES, in_channels=8,
        feat_channels=8, stacked_convs=1, strides=STRIDES,
        regress_ranges=((-1, 16), (16, 32), (32, 64), (64, 1e8)),
        norm_cfg=dict(type='GN', num_groups=2)))
POINTS = dict(
    ANCHORS, ratios=[1.0], octave_base_scale=8, scales_per_octave=1)
GN = dict(type='GN', num_groups=2)
TOOD = one_stage(
    'mmdet.TOOD',
    dict(
        type='mmdet.TOODHead', num_classes=CLASSES, in_channels=8,
        feat_channels=8, stacked_convs=2, num_dcn=0, norm_cfg=GN,
        anchor_type='anchor_free', anchor_generator=POINTS,
        bbox_coder=dict(type='mmdet.DeltaXYWHBBoxCoder'),
        initial_loss_cls=dict(
            type='mmdet.FocalLoss', use_sigmoid=True, activated=True),
        loss_cls=dict(
            type='mmdet.QualityFocalLoss', use_sigmoid=True, activated=True),
        loss_bbox=dict(type='mmdet.GIoULoss', loss_weight=2.0)),
    initial_epoch=4,
    initial_assigner=dict(type='mmdet.ATSSAssigner', topk=9),
    assigner=dict(type='mmdet.TaskAlignedAssigner', topk=13),
    alpha=1,
    beta=6)
VFNET = one_stage(
    'mmdet.VFNet',
    dict(
        type='mmdet.VFNetHead', num_classes=CLASSES, in_channels=8,
        feat_channels=8, stacked_convs=1, strides=STRIDES, use_atss=True,
        regress_ranges=((-1, 16), (16, 32), (32, 64), (64, 1e8)),
        norm_cfg=GN, anchor_generator=dict(POINTS, center_offset=0.0),
        loss_cls=dict(type='mmdet.VarifocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='mmdet.GIoULoss', loss_weight=1.5),
        loss_bbox_refine=dict(type='mmdet.GIoULoss', loss_weight=2.0)),
    assigner=dict(type='mmdet.ATSSAssigner', topk=9))
RTMDET = one_stage(
    'mmdet.RTMDet',
    dict(
        type='mmdet.RTMDetSepBNHead', num_classes=CLASSES, in_channels=8,
        feat_channels=8, stacked_convs=1, with_objectness=False,
        anchor_generator=dict(
            type='mmdet.MlvlPointGenerator', offset=0, strides=STRIDES[:3]),
        bbox_coder=dict(type='mmdet.DistancePointBBoxCoder'),
        loss_cls=dict(
            type='mmdet.QualityFocalLoss', use_sigmoid=True, beta=2.0),
        loss_bbox=dict(type='mmdet.GIoULoss', loss_weight=2.0)),
    neck=spiking(
        dict(
            type='mmdet.CSPNeXtPAFPN', in_channels=[8, 12, 20],
            out_channels=8, num_csp_blocks=1)),
    assigner=dict(type='mmdet.DynamicSoftLabelAssigner', topk=5))
RTMDET['backbone'] = dict(BACKBONE, out_indices=(1, 2, 4))
RTMDET['data_preprocessor'] = dict(PREPROCESSOR, pad_size_divisor=16)

MATCHER = dict(
    type='mmdet.HungarianAssigner',
    match_costs=[
        dict(type='mmdet.FocalLossCost', weight=2.0),
        dict(type='mmdet.BBoxL1Cost', weight=5.0),
        dict(type='mmdet.IoUCost', iou_mode='giou', weight=2.0)
    ])
FOCAL = dict(type='mmdet.FocalLoss', use_sigmoid=True, loss_weight=2.0)
FFN = dict(embed_dims=8, feedforward_channels=16, ffn_drop=0.)
ATTENTION = dict(embed_dims=8, num_heads=2, dropout=0., batch_first=True)
LEVELS = dict(embed_dims=8, num_heads=2, num_levels=2, num_points=2,
              batch_first=True)


def query_based(kind, head, encoder_attention, cross_attention, neck, **keys):
    return spiking(
        dict(
            type=kind,
            num_queries=6,
            data_preprocessor=PREPROCESSOR,
            backbone=dict(BACKBONE, out_indices=keys.pop('out_indices')),
            neck=dict(
                type='mmdet.ChannelMapper', kernel_size=1, out_channels=8,
                act_cfg=None, norm_cfg=dict(type='GN', num_groups=2), **neck),
            encoder=dict(
                num_layers=1,
                layer_cfg=dict(
                    self_attn_cfg=encoder_attention, ffn_cfg=FFN)),
            decoder=dict(
                num_layers=2,
                return_intermediate=True,
                layer_cfg=dict(
                    self_attn_cfg=ATTENTION, cross_attn_cfg=cross_attention,
                    ffn_cfg=FFN),
                **keys.pop('decoder')),
            positional_encoding=dict(num_feats=4, normalize=True),
            bbox_head=dict(
                type=head, num_classes=CLASSES, embed_dims=8, loss_cls=FOCAL,
                loss_bbox=dict(type='mmdet.L1Loss', loss_weight=5.0),
                loss_iou=dict(type='mmdet.GIoULoss', loss_weight=2.0)),
            train_cfg=dict(assigner=MATCHER),
            test_cfg=dict(max_per_img=4),
            **keys.pop('keys', {})), **keys)


DETR = query_based(
    'mmdet.DETR', 'mmdet.DETRHead', ATTENTION, ATTENTION,
    dict(in_channels=WIDTHS[3:], num_outs=1), out_indices=(4, ),
    decoder=dict(post_norm_cfg=dict(type='LN')))
DEFORMABLE_DETR = query_based(
    'mmdet.DeformableDETR', 'mmdet.DeformableDETRHead', LEVELS, LEVELS,
    dict(in_channels=WIDTHS[2:], num_outs=2), out_indices=(3, 4),
    decoder=dict(post_norm_cfg=None), keys=dict(num_feature_levels=2),
    keep_real=['MultiheadAttention', 'level_embed'])
SPARSE_RCNN = dict(
    two_stage(
        'mmdet.SparseRCNN',
        spiking(
            dict(
                type='mmdet.SparseRoIHead',
                num_stages=1,
                stage_loss_weights=[1],
                proposal_feature_channel=8,
                bbox_roi_extractor=roi_extractor(4),
                bbox_head=dict(
                    type='mmdet.DIIHead', num_classes=CLASSES, in_channels=8,
                    num_heads=2, num_reg_fcs=1, feedforward_channels=16,
                    dynamic_conv_cfg=dict(
                        type='mmdet.DynamicConv', in_channels=8,
                        feat_channels=4, input_feat_shape=4),
                    loss_cls=FOCAL,
                    loss_bbox=dict(type='mmdet.L1Loss', loss_weight=5.0),
                    bbox_coder=dict(
                        type='mmdet.DeltaXYWHBBoxCoder', clip_border=False,
                        target_stds=[0.5, 0.5, 1., 1.])))),
        [
            dict(
                assigner=MATCHER, sampler=dict(type='mmdet.PseudoSampler'),
                pos_weight=1)
        ]),
    rpn_head=dict(
        type='mmdet.EmbeddingRPNHead', num_proposals=6,
        proposal_feature_channel=8))
SPARSE_RCNN['train_cfg'].update(rpn=None, rpn_proposal=None)
SPARSE_RCNN['test_cfg'] = dict(rpn=None, rcnn=dict(max_per_img=4))

DETECTORS = dict(
    mask_rcnn=MASK_RCNN, cascade_mask_rcnn=CASCADE, retinanet=RETINANET,
    fcos=FCOS, tood=TOOD, vfnet=VFNET, rtmdet=RTMDET, detr=DETR,
    deformable_detr=DEFORMABLE_DETR, sparse_rcnn=SPARSE_RCNN)

DECODE = dict(
    channels=8, num_classes=CLASSES, norm_cfg=dict(type='BN'),
    align_corners=False)
SEG_FPN = spiking(
    dict(type='mmseg.FPN', in_channels=WIDTHS, out_channels=8, num_outs=4))


def segmentor(decode_head, **keys):
    return dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(
            type='mmseg.SegDataPreProcessor', size=(64, 48), **MEAN_STD),
        backbone=BACKBONE,
        decode_head=spiking(dict(decode_head, **DECODE)),
        test_cfg=dict(mode='whole'),
        **keys)


SEGMENTORS = dict(
    fpn_head=segmentor(
        dict(
            type='mmseg.FPNHead', in_channels=[8] * 4, in_index=[0, 1, 2, 3],
            feature_strides=STRIDES),
        neck=SEG_FPN),
    uper_head=segmentor(
        dict(
            type='mmseg.UPerHead', in_channels=WIDTHS, in_index=[0, 1, 2, 3],
            pool_scales=(1, 2))),
    sep_aspp_head=segmentor(
        dict(
            type='mmseg.DepthwiseSeparableASPPHead', in_channels=WIDTHS[3],
            in_index=3, dilations=(1, 2), c1_in_channels=WIDTHS[0],
            c1_channels=4)),
    sep_fcn_head=segmentor(
        dict(
            type='mmseg.DepthwiseSeparableFCNHead', in_channels=WIDTHS[3],
            in_index=3, num_convs=2, concat_input=True)))


SYNAPSES = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def wake(model):
    """Weights and norms under which neurons fire, whatever the initial ones;
    running statistics become those of the batches in training."""
    for module in model.modules():
        if isinstance(module, SYNAPSES) and hasattr(module, 'neuron'):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=2 / fan_in**0.5)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.5, 1.5)
        elif isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(
                module.in_proj_weight, std=2 / module.embed_dim**0.5)
            nn.init.uniform_(module.in_proj_bias, -0.5, 1.5)
        elif isinstance(module, NORMS):
            nn.init.uniform_(module.weight, 0.7, 1.5)
            nn.init.uniform_(module.bias, 0., 1.5)
            module.momentum = None
    return model


def build(config, data):
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(config))
    model.init_weights()
    wake(model).train()
    with torch.no_grad():
        model(**model.data_preprocessor(data, True), mode='loss')
    return model


@pytest.fixture(scope='session')
def dense_config():
    """``dense_config(name)``: a config of its own."""
    pytest.importorskip('mmdet.models')
    pytest.importorskip('mmseg.models')
    return lambda name: ConfigDict({**DETECTORS, **SEGMENTORS}[name])


@pytest.fixture(scope='session')
def build_dense(batch):
    """``build_dense(config, name)``: a model whose neurons fire."""
    return lambda config, name: build(config, batch(name))


@pytest.fixture(scope='session')
def dense_model(dense_config, build_dense):
    """``dense_model(name)``: built once; weights stay as they are."""
    made = {}

    def get(name):
        MessageHub.get_current_instance().update_info('epoch', 0)  # for TOOD
        if name not in made:
            made[name] = build_dense(dense_config(name), name)
        made[name].zero_grad()
        return made[name]

    return get


def detection_sample(height, width, boxes, with_masks):
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float).reshape(-1, 4),
        labels=torch.arange(len(boxes)) % CLASSES)
    if with_masks:
        masks = np.zeros((len(boxes), height, width), np.uint8)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes):
            mask[y0:y1, x0:x1] = 1
        instances.masks = BitmapMasks(masks, height, width)
    return DetDataSample(
        gt_instances=instances,
        metainfo=dict(
            img_shape=(height, width), ori_shape=(height, width),
            scale_factor=(1., 1.), pad_shape=(height, width)))


def segmentation_sample(height, width, boxes):
    from mmseg.structures import SegDataSample
    labels = torch.zeros(1, height, width, dtype=torch.long)
    for x0, y0, x1, y1 in boxes:
        labels[:, y0:y1, x0:x1] = 1
    return SegDataSample(
        gt_sem_seg=PixelData(data=labels),
        metainfo=dict(
            img_shape=(height, width), ori_shape=(height, width)))


@pytest.fixture(scope='session')
def batch():
    """``batch(name, sizes, boxes)``: raw images with their samples."""

    def get(name, sizes=None, boxes=((4, 6, 30, 28), (20, 10, 44, 40))):
        generator = torch.Generator().manual_seed(1)
        make = partial(detection_sample, with_masks='mask' in name)
        sizes = sizes or ((64, 48), (48, 48))
        if name in SEGMENTORS:
            make = segmentation_sample
            sizes = [sizes[0]] * len(sizes)  # as mmseg demands
        return dict(
            inputs=[
                torch.randint(
                    256, (3, *size), generator=generator, dtype=torch.uint8)
                for size in sizes
            ],
            data_samples=[make(*size, list(boxes)) for size in sizes])

    return get
