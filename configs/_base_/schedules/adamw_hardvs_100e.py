# HARDVS as published: 4e-5 per 256 recordings, weight decay 1e-2, 100 epochs.
# The optimiser is not told; AdamW, warm-up and cosine are ours.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=4e-5, weight_decay=1e-2))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-3, by_epoch=True, end=5,
        convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-7, by_epoch=True, begin=5)
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256)
