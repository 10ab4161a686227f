# The one recipe of all models: AdamW with warm-up and cosine, no validation
# while training, the last weights are tested in spike-train form.
_base_ = [
    '../../../../configs/_base_/schedules/adamw_tiny.py',
    '../../../../configs/_base_/datasets/cifar10_12k.py'
]
train_cfg = dict(max_epochs=20)
optim_wrapper = dict(optimizer=dict(lr=4e-3))
custom_hooks = [
    dict(
        type='mmsnn.SpikeInferenceHook',
        form='counts',
        compare_metrics=False,
        pictures=0,
        phases=('test', ))
]
