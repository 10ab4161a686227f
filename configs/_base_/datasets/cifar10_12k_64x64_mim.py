# CIFAR-10 (see cifar10_12k.py) without labels, for pre-training: parts
# of the images enlarged to 64 px.
train_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root='{{$MMSNN_DATA:data}}/cifar10_12k/train',
        with_label=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='RandomResizedCrop', scale=64,
                crop_ratio_range=(0.4, 1.0)),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs')
        ]))
