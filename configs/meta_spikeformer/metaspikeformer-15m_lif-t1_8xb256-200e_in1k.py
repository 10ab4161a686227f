_base_ = [
    '../_base_/models/metaspikeformer.py',
    '../_base_/datasets/imagenet_bs256_randaug.py',
    '../_base_/schedules/lamb_200e.py',
    'mmpretrain::_base_/default_runtime.py'
]
neuron = dict(timesteps=1)
model = dict(backbone=dict(neuron=neuron), head=dict(neuron=neuron))
