# The published recipe: LAMB with trust clip, 6e-4 per 256 images, warm-up.
optim_wrapper = dict(
    optimizer=dict(
        type='Lamb', lr=6e-4 * 2048 / 256, weight_decay=0.05,
        trust_clip=True))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        end=5,
        convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=5)
]
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=5)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=2048)
