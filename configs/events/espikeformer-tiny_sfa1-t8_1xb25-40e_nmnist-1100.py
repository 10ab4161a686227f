# T x D = 8 x 1; neuron.timesteps and neuron.max_spikes of --cfg-options make
# others of it, as projects/nmnist does.
_base_ = [
    '../_base_/models/espikeformer-tiny_events.py',
    '../_base_/datasets/nmnist_1100.py',
    '../_base_/schedules/adamw_events_tiny.py'
]
neuron = dict(type='mmsnn.SFANeuron', max_spikes=1, timesteps=8)
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=dict(neuron, scale=1.)))
