# Fine-tuning of small twins: AdamW, 0.75 per layer, warm-up and cosine.
_base_ = ['mmpretrain::_base_/default_runtime.py']
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5),
    constructor='mmsnn.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        flat_decay_mult=0.))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.05, by_epoch=True, end=2,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=2,
        convert_to_iter_based=True)
]
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=5)
val_cfg = dict()
test_cfg = dict()
randomness = dict(seed=0)
