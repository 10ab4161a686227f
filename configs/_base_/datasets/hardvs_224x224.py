# HARDVS, 346x260, squeezed into 224x224: pixels that become one share its
# events. 8 frames of equally many events.
load = [
    dict(type='mmsnn.LoadEvents'),
    dict(type='mmsnn.DownsampleEvents', size=(224, 224))
]
frames = [
    dict(type='mmsnn.EventHistogram', bins=8),
    dict(type='mmsnn.PackEventInputs')
]
dataset = dict(type='mmsnn.HARDVS', data_root='{{$MMSNN_DATA:data}}/hardvs')
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        dataset,
        split='train',
        pipeline=[*load, dict(type='mmsnn.RandomEventFlip'), *frames]))
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, split='val', pipeline=[*load, *frames]))
test_dataloader = dict(
    batch_size=32,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, split='test', pipeline=[*load, *frames]))
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
