# AdamW with warm-up and cosine for small models of events on a CPU, tested in
# spike-train form.
_base_ = ['adamw_tiny.py']
train_cfg = dict(max_epochs=40, val_interval=10)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(lr=3e-3))
custom_hooks = [dict(type='mmsnn.SpikeInferenceHook')]
randomness = dict(seed=0)
