# Single handwritten digits (see digit_scenes_cls.py), enlarged to 64 px.
_base_ = ['digit_scenes_cls.py']
train_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='RandomCrop', crop_size=32, padding=2),
        dict(type='Resize', scale=(64, 64)),
        dict(type='PackInputs')
    ]))
val_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 64)),
        dict(type='PackInputs')
    ]))
test_dataloader = val_dataloader
