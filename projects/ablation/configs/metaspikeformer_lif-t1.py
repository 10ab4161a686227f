_base_ = ['_base_/metaspikeformer.py', '_base_/recipe.py']
neuron = dict(type='mmsnn.LIFNeuron', timesteps=1)
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=neuron))
