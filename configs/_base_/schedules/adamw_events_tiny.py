# AdamW with warm-up and cosine for small models of events on a CPU, tested in
# spike-train form.
_base_ = ['mmpretrain::_base_/default_runtime.py']
train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=10)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.05, by_epoch=True, end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=1,
        convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
custom_hooks = [dict(type='mmsnn.SpikeInferenceHook')]
randomness = dict(seed=0)
