_base_ = ['_base_/model.py', '_base_/recipe.py']
neuron = dict(type='ReLU')
model = dict(
    backbone=dict(type='mmsnn.ESpikeFormer', neuron=neuron),
    head=dict(neuron=neuron))
custom_hooks = []  # it has no spike-train form
