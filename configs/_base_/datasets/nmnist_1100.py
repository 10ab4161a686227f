# A part of N-MNIST, {train,test}/DIGIT/*.bin, 34x34: 1,000 recordings to train
# on and 100 to test on. For the whole set change `data_root` of the loaders.
_base_ = ['event_recordings.py']
dataset = dict(
    type='mmsnn.NMNIST', data_root='{{$MMSNN_DATA:data}}/nmnist_1100')
augment = dict(
    type='mmsnn.NeuromorphicAugment',
    num_ops=3,
    operations=('roll', 'rotate', 'shear'),
    flip_prob=0.)
frames = [
    dict(type='mmsnn.EventHistogram', bins=8, by='time'),
    dict(type='mmsnn.PackEventInputs')
]
train_dataloader = dict(
    batch_size=25,
    num_workers=0,
    dataset=dict(dataset, pipeline=[*_base_.load, augment, *frames]))
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    dataset=dict(dataset, pipeline=[*_base_.load, *frames]))
test_dataloader = val_dataloader
