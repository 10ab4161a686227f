# MAE's linear probe: LARS, 0.1 per 256 images, no weight decay.
optim_wrapper = dict(
    optimizer=dict(
        type='LARS', lr=0.1 * 4096 / 256, momentum=0.9, weight_decay=0.))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=10,
        convert_to_iter_based=True)
]
train_cfg = dict(by_epoch=True, max_epochs=90, val_interval=5)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=4096)
