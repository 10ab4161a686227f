# Single handwritten digits, 32x32, generated on first use.
dataset = dict(
    type='mmsnn.DigitScenes',
    root='{{$MMSNN_DATA:data}}/digit_scenes',
    task='cls')
data_preprocessor = dict(
    num_classes=10,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        split='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomCrop', crop_size=32, padding=2),
            dict(type='PackInputs')
        ],
        **dataset))
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        split='val',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='PackInputs')
        ],
        **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
