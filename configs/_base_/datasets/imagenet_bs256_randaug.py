# ImageNet-1k, 224 px: RandAugment with magnitude 9, no erasing, no mixing.
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py']
train_dataloader = dict(
    batch_size=256,
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='RandomResizedCrop',
            scale=224,
            backend='pillow',
            interpolation='bicubic'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(
            type='RandAugment',
            policies='timm_increasing',
            num_policies=2,
            total_level=10,
            magnitude_level=9,
            magnitude_std=0.5,
            hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic')),
        dict(type='PackInputs')
    ]))
