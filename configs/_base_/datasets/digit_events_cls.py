# Single handwritten digits before a simulated event camera, 32x32, generated
# on first use.
dataset = dict(
    type='mmsnn.DigitEvents',
    root='{{$MMSNN_DATA:data}}/digit_events',
    task='cls')
load = dict(type='mmsnn.LoadEvents')
augment = dict(
    type='mmsnn.NeuromorphicAugment',
    num_ops=2,
    operations=('roll', 'rotate', 'shear'),
    flip_prob=0.)
frames = dict(type='mmsnn.EventHistogram', bins=2, by='time')
pack = dict(type='mmsnn.PackEventInputs')
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        dataset, split='train', pipeline=[load, augment, frames, pack]))
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, split='val', pipeline=[load, frames, pack]))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
