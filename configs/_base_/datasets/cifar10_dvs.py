# CIFAR10-DVS, 128x128: 9,000 recordings to train on and 1,000 to test on.
_base_ = ['event_recordings.py']
load = [
    dict(type='mmsnn.LoadEvents'),
    dict(type='mmsnn.OrientEvents', transpose=True, flip_y=True),
    dict(type='mmsnn.EventPolarity', mode='swap')
]
augment = dict(type='mmsnn.NeuromorphicAugment', num_ops=2)
dataset = dict(
    type='mmsnn.CIFAR10DVS', data_root='{{$MMSNN_DATA:data}}/cifar10_dvs')
train_dataloader = dict(
    dataset=dict(dataset, pipeline=[*load, augment, *_base_.frames]))
val_dataloader = dict(
    dataset=dict(dataset, pipeline=[*load, *_base_.frames]))
test_dataloader = val_dataloader
