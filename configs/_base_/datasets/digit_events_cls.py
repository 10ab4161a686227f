# Single handwritten digits before a simulated event camera, 32x32, generated
# on first use.
_base_ = ['event_recordings.py']
dataset = dict(
    type='mmsnn.DigitEvents',
    root='{{$MMSNN_DATA:data}}/digit_events',
    task='cls')
augment = dict(
    type='mmsnn.NeuromorphicAugment',
    num_ops=2,
    operations=('roll', 'rotate', 'shear'),
    flip_prob=0.)
frames = [
    dict(type='mmsnn.EventHistogram', bins=2, by='time'),
    dict(type='mmsnn.PackEventInputs')
]
train_dataloader = dict(
    num_workers=0,
    dataset=dict(dataset, pipeline=[*_base_.load, augment, *frames]))
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        dataset, split='val', pipeline=[*_base_.load, *frames]))
test_dataloader = val_dataloader
