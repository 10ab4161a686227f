# One handwritten digit on clutter, 32x32, generated on first use.
_base_ = [
    '../_base_/models/espikeformer.py',
    '../_base_/datasets/digit_scenes_cls.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=[16, 32, 64, 80],
            depths=[1, 1, 2, 2, 1],
            num_heads=8)),
    head=dict(module=dict(num_classes=10, in_channels=80, topk=(1, ))))
max_epochs = 20
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.05, by_epoch=True, end=2,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=2, end=max_epochs,
        convert_to_iter_based=True)
]
custom_hooks = [dict(type='mmsnn.SpikeInferenceHook')]
randomness = dict(seed=0)
