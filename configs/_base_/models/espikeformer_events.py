# E-SpikeFormer on frames of events over time, (N, T, 2, H, W). Its neurons
# keep what the soft reset leaves of their membrane from one time step to the
# next (IF); the logits are a mean over time.
_base_ = ['espikeformer.py']
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4, timesteps=8)
model = dict(
    data_preprocessor=dict(type='mmsnn.EventDataPreprocessor'),
    backbone=dict(in_channels=2, neuron=neuron),
    head=dict(neuron=dict(neuron, scale=1.), mean_over_time=True))
