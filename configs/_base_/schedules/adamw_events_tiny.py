# AdamW with warm-up and cosine for small models of events on a CPU, tested in
# spike-train form.
_base_ = ['mmpretrain::_base_/default_runtime.py']
train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=10)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.05, by_epoch=True, end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=1,
        convert_to_iter_based=True)
]
default_hooks = dict(
    logger=dict(interval=1000, ignore_last=False),  # a line per epoch
    checkpoint=dict(max_keep_ckpts=2))
# Seconds per iteration, mean over the epoch.
log_processor = dict(custom_cfg=[
    dict(data_src='time', method_name='mean', window_size='epoch')
])
custom_hooks = [dict(type='mmsnn.SpikeInferenceHook')]
randomness = dict(seed=0)
