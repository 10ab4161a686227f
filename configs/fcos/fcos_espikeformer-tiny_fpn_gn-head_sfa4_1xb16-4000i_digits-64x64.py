# A small FCOS on digit scenes.
_base_ = [
    '../_base_/models/fcos_espikeformer-tiny_fpn.py',
    '../_base_/datasets/digit_scenes_det.py',
    '../_base_/schedules/adamw_cosine_4000i.py'
]
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=None,
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs')
    ]))
custom_hooks = [
    dict(type='mmsnn.SpikeInferenceHook', form='counts', dtype='float64')
]
