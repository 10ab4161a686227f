# N-MNIST, {Train,Test}/DIGIT/*.bin, 34x34. Saccades of 100 ms each: bins of
# time. A config adds the pipelines: what is between `load` and `pack`.
data_root = '{{$MMSNN_DATA:data}}/nmnist'
load = dict(type='mmsnn.LoadEvents')
augment = dict(
    type='mmsnn.NeuromorphicAugment',
    num_ops=3,
    operations=('roll', 'rotate', 'shear'),
    flip_prob=0.)
pack = dict(type='mmsnn.PackEventInputs')
train_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='mmsnn.NMNIST', data_root=data_root, split='train'))
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='mmsnn.NMNIST', data_root=data_root, split='test'))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
