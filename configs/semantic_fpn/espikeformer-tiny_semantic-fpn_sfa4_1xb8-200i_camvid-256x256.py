# 200 iterations: the whole path on real street scenes, not a good model.
_base_ = [
    '../_base_/models/espikeformer_semantic-fpn.py',
    '../_base_/datasets/camvid.py', '../_base_/schedules/adamw_20k.py',
    '../_base_/mmseg_runtime.py'
]
model = dict(
    data_preprocessor=dict(size=(256, 256), seg_pad_val=11),
    decode_head=dict(module=dict(ignore_index=11)))
max_iters = 200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=20),
    dict(
        type='PolyLR', by_epoch=False, begin=20, end=max_iters, power=0.9,
        eta_min=0.)
]
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=max_iters // 2))
custom_hooks = [dict(type='mmsnn.SpikeInferenceHook', form='counts')]
randomness = dict(seed=0)
