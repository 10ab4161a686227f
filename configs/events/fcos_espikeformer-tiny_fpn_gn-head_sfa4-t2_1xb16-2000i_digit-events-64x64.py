# The small FCOS on events: what the camera's saccades show of digit scenes, in
# 2 frames. The logits and boxes of its head are a mean over time.
_base_ = [
    '../_base_/models/fcos_espikeformer-tiny_fpn.py',
    '../_base_/datasets/digit_events_det.py',
    '../_base_/schedules/adamw_cosine_4000i.py'
]
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4, timesteps=2)
model = dict(
    data_preprocessor=dict(
        _delete_=True,
        type='mmsnn.EventDetDataPreprocessor',
        pad_size_divisor=16),
    backbone=dict(in_channels=2, neuron=neuron),
    neck=dict(neuron=neuron),
    bbox_head=dict(neuron=neuron, mean_over_time=True))
train_cfg = dict(max_iters=2000, val_interval=2000)
custom_hooks = [
    dict(type='mmsnn.SpikeInferenceHook', form='counts', dtype='float64')
]
