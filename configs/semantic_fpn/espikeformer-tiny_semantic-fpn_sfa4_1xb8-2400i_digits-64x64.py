_base_ = [
    '../_base_/models/espikeformer_semantic-fpn.py',
    '../_base_/datasets/digit_scenes_seg.py', '../_base_/mmseg_runtime.py'
]
max_iters = 2400
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-3, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters,
        eta_min_ratio=0.01)
]
# One worker keeps up; a second takes time from the two threads that train.
train_dataloader = dict(batch_size=8, num_workers=1)
randomness = dict(seed=0)
custom_hooks = [dict(type='mmsnn.SpikeInferenceHook')]
