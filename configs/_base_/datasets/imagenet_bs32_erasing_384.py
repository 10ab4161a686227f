# ImageNet-1k, 384 px: RandAugment with magnitude 9 and random erasing, as
# mmpretrain has them at 224 px. The whole short edge is kept in evaluation.
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64_deit3_384.py']
train_dataloader = dict(
    batch_size=32,
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='RandomResizedCrop',
            scale=384,
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
        dict(
            type='RandomErasing',
            erase_prob=0.25,
            mode='rand',
            min_area_ratio=0.02,
            max_area_ratio=1 / 3,
            fill_color=[103.53, 116.28, 123.675],
            fill_std=[57.375, 57.12, 58.395]),
        dict(type='PackInputs')
    ]))
