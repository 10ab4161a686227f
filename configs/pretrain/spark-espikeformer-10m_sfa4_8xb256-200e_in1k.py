# Published recipe of masked pre-training; 2048 images per step.
_base_ = [
    '../_base_/models/spark_espikeformer.py',
    'mmpretrain::_base_/datasets/imagenet_bs512_mae.py',
    '../_base_/schedules/adamw_spark_200e.py',
    'mmpretrain::_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=256)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
