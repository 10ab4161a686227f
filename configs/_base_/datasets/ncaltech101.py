# N-Caltech101, 240x180: a tenth of each class is the test set.
load = [
    dict(type='mmsnn.LoadEvents')
]
augment = dict(type='mmsnn.NeuromorphicAugment', num_ops=2)
frames = [
    dict(type='mmsnn.EventHistogram', bins=8),
    dict(type='mmsnn.PackEventInputs')
]
dataset = dict(
    type='mmsnn.NCaltech101', data_root='{{$MMSNN_DATA:data}}/ncaltech101')
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
