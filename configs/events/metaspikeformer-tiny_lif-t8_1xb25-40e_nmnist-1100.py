# The classical neuron: leaky, one spike a time step, hard reset.
_base_ = [
    '../_base_/models/espikeformer-tiny_events.py',
    '../_base_/datasets/nmnist_1100.py',
    '../_base_/schedules/adamw_events_tiny.py'
]
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=8)
model = dict(
    backbone=dict(type='mmsnn.MetaSpikeFormer', neuron=neuron),
    head=dict(neuron=dict(neuron, scale=1.)))
