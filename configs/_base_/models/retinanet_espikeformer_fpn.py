# mmdet's RetinaNet behind a spiking backbone, with a neuron in front of each
# synapse of its neck and head. The backbone's levels from the second on have
# strides 8, 16 and 16; two more convolutions of stride 2 give 32 and 64.
# `base_sizes` keeps one size of anchors per level: 32 to 512 pixels, and up.
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py']
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
        module=dict(
            _base_.model.neck,
            in_channels=[64, 128, 256, 360],
            norm_cfg=norm_cfg)),
    bbox_head=dict(
        _delete_=True,
        type='mmsnn.SpikingModule',
        neuron=neuron,
        mean_over_time=True,
        module=dict(
            _base_.model.bbox_head,
            anchor_generator=dict(
                _base_.model.bbox_head.anchor_generator,
                strides=[8, 16, 16, 32, 64],
                base_sizes=[8, 16, 32, 64, 128]))))
