# CamVid street scenes, 480x360, in ADE20K's folders; class 11 is void.
_base_ = ['ade20k_512x512.py']
crop_size = (256, 256)
dataset = dict(
    type='BaseSegDataset',
    data_root='{{$MMSNN_DATA:data}}/camvid',
    metainfo=dict(
        classes=('Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree',
                 'SignSymbol', 'Fence', 'Car', 'Pedestrian', 'Bicyclist'),
        palette=[[128, 128, 128], [128, 0, 0], [192, 192, 128],
                 [128, 64, 128], [60, 40, 222], [128, 128, 0],
                 [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0],
                 [0, 128, 192]]),
    img_suffix='.jpg',
    ignore_index=11)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize', scale=(480, 360), ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(
        type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75,
        ignore_index=11),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(dataset, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=2, dataset=dict(dataset, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ignore_index=11)
test_evaluator = val_evaluator
