# DVS128 Gesture, 128x128, cut by tools/dataset_converters/dvs_gesture.py.
# Which hand it was is part of the classes, so nothing is flipped.
_base_ = ['event_recordings.py']
augment = dict(type='mmsnn.NeuromorphicAugment', num_ops=2, flip_prob=0.)
frames = [
    dict(type='mmsnn.EventHistogram', bins=16),
    dict(type='mmsnn.PackEventInputs')
]
dataset = dict(
    type='mmsnn.DVSGesture', data_root='{{$MMSNN_DATA:data}}/dvs_gesture')
train_dataloader = dict(
    dataset=dict(dataset, pipeline=[*_base_.load, augment, *frames]))
val_dataloader = dict(
    dataset=dict(dataset, pipeline=[*_base_.load, *frames]))
test_dataloader = val_dataloader
