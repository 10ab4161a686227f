# Single handwritten digits, enlarged to 64 px, for pre-training.
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmsnn.DigitScenes',
        root='{{$MMSNN_DATA:data}}/digit_scenes',
        task='cls',
        split='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomCrop', crop_size=32, padding=2),
            dict(type='Resize', scale=(64, 64)),
            dict(type='PackInputs')
        ]))
