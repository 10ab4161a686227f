# Fine-tuning of the small twin, end to end.
_base_ = [
    '../_base_/models/espikeformer-tiny.py',
    '../_base_/datasets/cifar10_12k_64x64.py',
    '../_base_/schedules/adamw_layer-decay_tiny.py'
]
model = dict(
    backbone=dict(
        arch=dict(embed_dims=[32, 64, 128, 128], depths=[0, 0, 0, 1, 1]),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/spark-espikeformer-tiny_sfa4_1xb100-40e_cifar10-64x64/'
            'epoch_40.pth',
            prefix='backbone.')),
    head=dict(module=dict(in_channels=128)))
