# The published optimiser of Semantic FPN, for 20,000 iterations.
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=20000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.005),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=2.))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, end=500),
    dict(
        type='PolyLR', by_epoch=False, begin=500, end=20000, power=0.9,
        eta_min=0.)
]
