_base_ = [
    '../_base_/models/metaspikeformer.py',
    '../_base_/datasets/imagenet_bs256_randaug.py',
    '../_base_/schedules/lamb_200e.py',
    'mmpretrain::_base_/default_runtime.py'
]
neuron = dict(_delete_=True, type='mmsnn.SFANeuron', max_spikes=4)
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=dict(neuron, scale=1.)))
