# Meta-SpikeFormer classifier with LIF neurons over 4 time steps: as the
# E-SpikeFormer one, with the mean of the logits over time.
_base_ = ['espikeformer.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=4)
model = dict(
    backbone=dict(
        type='mmsnn.MetaSpikeFormer',
        arch='15m',
        neuron=neuron,
        channels_last=True),
    head=dict(
        neuron=dict(neuron, scale=1.),
        mean_over_time=True,
        module=dict(in_channels=360)))
