_base_ = [
    '../_base_/models/espikeformer-tiny_events.py',
    '../_base_/datasets/digit_events_cls.py',
    '../_base_/schedules/adamw_events_tiny.py'
]
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4, timesteps=2)
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=dict(neuron, scale=1.)))
train_cfg = dict(max_epochs=20)
