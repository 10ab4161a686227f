_base_ = ['_base_/espikeformer.py', '_base_/recipe.py']
neuron = dict(_delete_=True, type='ReLU')
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=neuron))
custom_hooks = []  # it has no spike-train form
