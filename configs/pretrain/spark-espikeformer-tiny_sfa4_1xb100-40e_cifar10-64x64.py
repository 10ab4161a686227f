# Masked pre-training that a CPU can do, on 10,000 images of CIFAR-10.
_base_ = [
    '../_base_/models/spark_espikeformer.py',
    '../_base_/datasets/cifar10_12k_64x64_mim.py',
    '../_base_/schedules/adamw_spark_tiny.py'
]
model = dict(
    data_preprocessor=dict(
        mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255]),
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=[32, 64, 128, 128],
            depths=[0, 0, 0, 1, 1],
            num_heads=8)),
    neck=dict(in_channels=128, embed_dims=64, depth=1))
train_cfg = dict(max_epochs=40)
