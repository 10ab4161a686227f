# CIFAR10-DVS, 128x128: 9,000 recordings to train on and 1,000 to test on.
load = [
    dict(type='mmsnn.LoadEvents'),
    dict(type='mmsnn.OrientEvents', transpose=True, flip_y=True),
    dict(type='mmsnn.EventPolarity', mode='swap')
]
augment = dict(type='mmsnn.NeuromorphicAugment', num_ops=2)
frames = [
    dict(type='mmsnn.EventHistogram', bins=8),
    dict(type='mmsnn.PackEventInputs')
]
dataset = dict(
    type='mmsnn.CIFAR10DVS', data_root='{{$MMSNN_DATA:data}}/cifar10_dvs')
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        dataset, split='train', pipeline=[*load, augment, *frames]))
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, split='test', pipeline=[*load, *frames]))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
