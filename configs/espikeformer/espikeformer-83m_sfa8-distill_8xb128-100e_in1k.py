_base_ = [
    '../_base_/models/espikeformer_large_distilled.py',
    'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py',
    '../_base_/schedules/lamb_layer-decay_distill_100e.py',
    'mmpretrain::_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=128)
