_base_ = ['_base_/metaspikeformer.py', '_base_/recipe.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=4)
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=neuron))
