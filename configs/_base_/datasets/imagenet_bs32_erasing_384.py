# ImageNet-1k, 384 px: RandAugment with magnitude 9 and random erasing, as
# mmpretrain has them at 224 px. The whole short edge is kept in evaluation.
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py']
sizes = dict(
    RandomResizedCrop=dict(scale=384),
    ResizeEdge=dict(scale=384),
    CenterCrop=dict(crop_size=384))
train_pipeline = [
    dict(step, **sizes.get(step.type, {}))
    for step in _base_.train_dataloader.dataset.pipeline
]
test_pipeline = [
    dict(step, **sizes.get(step.type, {}))
    for step in _base_.test_dataloader.dataset.pipeline
]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
