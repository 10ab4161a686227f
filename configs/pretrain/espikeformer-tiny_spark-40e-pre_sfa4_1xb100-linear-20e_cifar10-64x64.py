# Linear probe of the small twin.
_base_ = ['espikeformer-tiny_spark-40e-pre_sfa4_1xb100-20e_cifar10-64x64.py']
model = dict(
    backbone=dict(frozen_stages=4),
    neck=dict(
        _delete_=True, type='mmsnn.PooledBatchNormNeck', input_features=128),
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=10,
        in_channels=128,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1, )))
optim_wrapper = dict(
    _delete_=True,
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.))
