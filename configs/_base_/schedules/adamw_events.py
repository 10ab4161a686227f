# AdamW with warm-up and cosine, 1e-3 per 32 recordings, for sets of some
# thousands of them; a config may change `train_cfg.max_epochs` alone.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.05, by_epoch=True, end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=1,
        convert_to_iter_based=True)
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=32)
