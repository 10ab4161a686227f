# What sets of event recordings to classify have in common; each of them adds
# its name, and what is its own in the pipeline.
load = [
    dict(type='mmsnn.LoadEvents')
]
frames = [
    dict(type='mmsnn.EventHistogram', bins=8),
    dict(type='mmsnn.PackEventInputs')
]
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        split='train',
        pipeline=[
            *load,
            dict(type='mmsnn.NeuromorphicAugment', num_ops=2), *frames
        ]))
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline=[*load, *frames]))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
