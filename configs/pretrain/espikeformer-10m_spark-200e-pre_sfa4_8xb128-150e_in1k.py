# End-to-end fine-tuning of a pre-trained base model, with the recipe published
# for the large family.
_base_ = [
    '../_base_/models/espikeformer.py',
    'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py',
    '../_base_/schedules/lamb_layer-decay_150e.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(
    backbone=dict(
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/spark-espikeformer-10m_sfa4_8xb256-200e_in1k/'
            'epoch_200.pth',
            prefix='backbone.')),
    train_cfg=dict(augments=[
        dict(type='Mixup', alpha=0.8),
        dict(type='CutMix', alpha=1.0)
    ]))
train_dataloader = dict(batch_size=128)
