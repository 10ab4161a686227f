# mmdet's Mask R-CNN behind a spiking backbone, with a neuron in front of each
# synapse of its neck and heads. The backbone's strides are 4, 8, 16 and 16;
# the FPN's fifth level, every second position of the fourth, has stride 32.
# `base_sizes` keeps one size of anchors per level: 32 to 512 pixels.
_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py']
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmsnn.ESpikeFormer',
        arch='19m',
        out_indices=(1, 2, 3, 4),
        channels_last=True,
        neuron=neuron,
        norm_cfg=norm_cfg),
    neck=dict(
        _delete_=True,
        type='mmsnn.SpikingModule',
        neuron=neuron,
        mean_over_time=True,
        module=dict(
            _base_.model.neck,
            in_channels=[64, 128, 256, 360],
            norm_cfg=norm_cfg)),
    rpn_head=dict(
        _delete_=True,
        type='mmsnn.SpikingModule',
        neuron=neuron,
        module=dict(
            _base_.model.rpn_head,
            anchor_generator=dict(
                _base_.model.rpn_head.anchor_generator,
                strides=[4, 8, 16, 16, 32],
                base_sizes=[4, 8, 16, 32, 64]))),
    roi_head=dict(
        _delete_=True,
        type='mmsnn.SpikingModule',
        neuron=neuron,
        module=dict(
            _base_.model.roi_head,
            bbox_roi_extractor=dict(
                _base_.model.roi_head.bbox_roi_extractor,
                featmap_strides=[4, 8, 16, 16]),
            mask_roi_extractor=dict(
                _base_.model.roi_head.mask_roi_extractor,
                featmap_strides=[4, 8, 16, 16]))))
