# The published pre-training: AdamW (0.9, 0.95), 1.5e-4 per 256 images, 20
# epochs of warm-up, 200 in all. Weight decay is MAE's.
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW',
        lr=1.5e-4 * 2048 / 256,
        betas=(0.9, 0.95),
        weight_decay=0.05,
        fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        flat_decay_mult=0.,
        custom_keys=dict(mask_token=dict(decay_mult=0.))))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        end=20,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=20,
        convert_to_iter_based=True)
]
train_cfg = dict(by_epoch=True, max_epochs=200)
custom_hooks = [
    dict(type='mmsnn.EffectiveRankHook'),
    dict(type='mmsnn.ReconstructionHook', interval=20)
]
auto_scale_lr = dict(base_batch_size=2048)
