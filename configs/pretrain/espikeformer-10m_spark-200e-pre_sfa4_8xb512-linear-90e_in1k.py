# Linear probe: the encoder is frozen, its mean over positions normalised.
_base_ = [
    'mmpretrain::_base_/datasets/imagenet_bs32_pil_resize.py',
    '../_base_/schedules/lars_probe_90e.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsnn.ESpikeFormer',
        arch='10m',
        neuron=dict(type='mmsnn.SFANeuron', max_spikes=4),
        frozen_stages=4,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/spark-espikeformer-10m_sfa4_8xb256-200e_in1k/'
            'epoch_200.pth',
            prefix='backbone.')),
    neck=dict(type='mmsnn.PooledBatchNormNeck', input_features=240),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=240,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1, 5),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01)))
train_dataloader = dict(batch_size=512, drop_last=True)
