_base_ = [
    '../_base_/models/metaspikeformer.py',
    '../_base_/datasets/imagenet_bs256_randaug.py',
    '../_base_/schedules/lamb_200e.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(
    backbone=dict(neuron=dict(timesteps=1)),
    head=dict(neuron=dict(timesteps=1)))
