# AdamW with warm-up and cosine, 1e-3 per 32 recordings, for sets of some
# thousands of them; a config may change `train_cfg.max_epochs` alone.
_base_ = ['adamw_cosine.py']
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=32)
