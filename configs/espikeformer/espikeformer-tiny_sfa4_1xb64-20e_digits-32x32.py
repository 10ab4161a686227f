# One handwritten digit on clutter, 32x32, generated on first use.
_base_ = [
    '../_base_/models/espikeformer-tiny.py',
    '../_base_/datasets/digit_scenes_cls.py',
    'mmpretrain::_base_/default_runtime.py'
]
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
