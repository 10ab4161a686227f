_base_ = [
    '../_base_/models/espikeformer_semantic-fpn.py',
    '../_base_/datasets/camvid.py', '../_base_/schedules/adamw_20k.py',
    '../_base_/mmseg_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=(256, 256), seg_pad_val=11),
    backbone=dict(arch=dict(_delete_=True, embed_dims=[24, 48, 96, 128])),
    neck=dict(module=dict(in_channels=[24, 48, 96, 128], out_channels=128)),
    decode_head=dict(
        module=dict(
            in_channels=[128] * 4,
            channels=128,
            dropout_ratio=0.1,
            num_classes=11,
            ignore_index=11)))
custom_hooks = [dict(type='mmsnn.SpikeInferenceHook', form='counts')]
