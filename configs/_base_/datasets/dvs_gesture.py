# DVS128 Gesture, 128x128, cut by tools/dataset_converters/dvs_gesture.py.
# Which hand it was is part of the classes, so nothing is flipped.
load = [
    dict(type='mmsnn.LoadEvents')
]
augment = dict(type='mmsnn.NeuromorphicAugment', num_ops=2, flip_prob=0.)
frames = [
    dict(type='mmsnn.EventHistogram', bins=16),
    dict(type='mmsnn.PackEventInputs')
]
dataset = dict(
    type='mmsnn.DVSGesture', data_root='{{$MMSNN_DATA:data}}/dvs_gesture')
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
