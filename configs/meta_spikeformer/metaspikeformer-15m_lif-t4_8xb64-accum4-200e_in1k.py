# Four time steps take four times the memory: smaller batches, accumulated to
# the published 2048 images.
_base_ = [
    '../_base_/models/metaspikeformer.py',
    '../_base_/datasets/imagenet_bs256_randaug.py',
    '../_base_/schedules/lamb_200e.py',
    'mmpretrain::_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(accumulative_counts=4)
# For --auto-scale-lr, which does not count accumulated batches.
auto_scale_lr = dict(base_batch_size=512)
