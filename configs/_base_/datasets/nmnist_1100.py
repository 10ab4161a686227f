# A part of N-MNIST, {train,test}/DIGIT/*.bin, 34x34: 1,000 recordings to train
# on and 100 to test on. For the whole set change `data_root` of the loaders.
data_root = '{{$MMSNN_DATA:data}}/nmnist_1100'
load = dict(type='mmsnn.LoadEvents')
augment = dict(
    type='mmsnn.NeuromorphicAugment',
    num_ops=3,
    operations=('roll', 'rotate', 'shear'),
    flip_prob=0.)
frames = dict(type='mmsnn.EventHistogram', bins=8, by='time')
pack = dict(type='mmsnn.PackEventInputs')
train_dataloader = dict(
    batch_size=25,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmsnn.NMNIST',
        data_root=data_root,
        split='train',
        pipeline=[load, augment, frames, pack]))
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmsnn.NMNIST',
        data_root=data_root,
        split='test',
        pipeline=[load, frames, pack]))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
