# Pre-training of small twins: a larger learning rate than the published one,
# as their batches are small and their epochs few.
_base_ = [
    'adamw_spark_200e.py', 'mmpretrain::_base_/default_runtime.py'
]
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3), clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.05, by_epoch=True, end=2,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=2,
        convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=20)
custom_hooks = [
    dict(type='mmsnn.EffectiveRankHook', interval=5),
    dict(type='mmsnn.ReconstructionHook', interval=5)
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
randomness = dict(seed=0)
