_base_ = [
    '../_base_/models/espikeformer_semantic-fpn.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/adamw_160k.py', '../_base_/mmseg_runtime.py'
]
channels = 128
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(arch='10m', norm_cfg=norm_cfg),
    neck=dict(
        module=dict(
            in_channels=[48, 96, 192, 240],
            out_channels=channels,
            norm_cfg=norm_cfg)),
    decode_head=dict(
        module=dict(
            in_channels=[channels] * 4,
            channels=channels,
            dropout_ratio=0.1,
            num_classes=150,
            norm_cfg=norm_cfg)))
default_hooks = dict(checkpoint=dict(interval=16000))
