# Meta-SpikeFormer on frames of events over time, (N, T, 2, H, W).
_base_ = ['metaspikeformer.py']
neuron = dict(type='mmsnn.LIFNeuron', timesteps=8)
model = dict(
    data_preprocessor=dict(type='mmsnn.EventDataPreprocessor'),
    backbone=dict(in_channels=2, neuron=neuron),
    head=dict(neuron=dict(neuron, scale=1.)))
