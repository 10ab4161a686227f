_base_ = [
    '../_base_/models/espikeformer.py',
    '../_base_/datasets/imagenet_bs256_randaug.py',
    '../_base_/schedules/lamb_200e.py',
    'mmpretrain::_base_/default_runtime.py'
]
