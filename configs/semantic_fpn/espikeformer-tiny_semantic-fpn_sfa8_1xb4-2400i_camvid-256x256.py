_base_ = ['espikeformer-tiny_semantic-fpn_sfa4_1xb8-200i_camvid-256x256.py']
# In the backbone, spikes are worth half as much, so that D = 8 reaches as far
# as D = 4 with a threshold of 1, in steps of half the size. Neck and head add
# up levels: 21% of the potentials in front of the classifier are above 4, so
# D = 8 reaches to 8 there. The classifier has no norm behind it that would
# make up for a factor: with a scale of 1 it reads potentials, not fractions of
# D, and its weights need not be eight times as large as with ReLU.
# Windows of the training size: attention sums over all tokens, so its output
# grows with the image; docs/results.md has the figures of whole images.
neuron = dict(max_spikes=8, threshold=0.5)
wide_neuron = dict(max_spikes=8, threshold=1.0)
model = dict(
    backbone=dict(neuron=neuron),
    neck=dict(neuron=wide_neuron),
    decode_head=dict(neuron=dict(scale=1.0, **wide_neuron)),
    test_cfg=dict(mode='slide', crop_size=(256, 256), stride=(170, 170)))
max_iters = 2400
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False)
optim_wrapper = dict(
    optimizer=dict(lr=2e-3, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=100),
    dict(
        type='CosineAnnealingLR', by_epoch=False, begin=100,
        eta_min_ratio=0.01)
]
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=400, max_keep_ckpts=2))
log_processor = dict(window_size=50)
custom_hooks = [
    dict(type='mmsnn.SpikeInferenceHook', form='counts', dtype='float64')
]
