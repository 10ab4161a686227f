_base_ = ['_base_/espikeformer.py', '_base_/recipe.py']
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=dict(neuron, scale=1.)))
