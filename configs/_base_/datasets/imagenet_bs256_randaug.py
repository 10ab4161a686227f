# ImageNet-1k, 224 px: RandAugment with magnitude 9, no erasing, no mixing.
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py']
train_dataloader = dict(
    batch_size=256,
    dataset=dict(pipeline=[
        step for step in _base_.train_dataloader.dataset.pipeline
        if step.type != 'RandomErasing'
    ]))
