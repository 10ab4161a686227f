# The published optimiser of Semantic FPN, for 160,000 iterations.
_base_ = ['adamw_20k.py']
train_cfg = dict(max_iters=160000, val_interval=16000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, end=1500),
    dict(
        type='PolyLR', by_epoch=False, begin=1500, end=160000, power=0.9,
        eta_min=0.)
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
