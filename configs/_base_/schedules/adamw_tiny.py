# AdamW with warm-up and cosine for small models on a CPU; with mmpretrain's
# default runtime.
_base_ = ['adamw_cosine.py', 'mmpretrain::_base_/default_runtime.py']
train_cfg = dict(by_epoch=True)
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(fused=True))
default_hooks = dict(
    logger=dict(interval=1000, ignore_last=False),  # a line per epoch
    checkpoint=dict(max_keep_ckpts=2))  # one, should saving be interrupted
# Seconds per iteration, mean over the epoch.
log_processor = dict(custom_cfg=[
    dict(data_src='time', method_name='mean', window_size='epoch')
])
