# CIFAR-10 as folders of JPEG, {train,test}/CLASS/*.jpg: 10,000 images to
# train on and 2,000 to test on.
data_root = '{{$MMSNN_DATA:data}}/cifar10_12k'
data_preprocessor = dict(
    num_classes=10,
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=True)
augment = [
    dict(
        type='RandomCrop', crop_size=32, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal')
]
train_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=[
            dict(type='LoadImageFromFile'), *augment,
            dict(type='PackInputs')
        ]))
test_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='test',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='PackInputs')
        ]))
test_evaluator = dict(type='Accuracy', topk=(1, ))
