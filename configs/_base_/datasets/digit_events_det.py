# Digit scenes with boxes before a simulated event camera, 64x64, generated on
# first use.
data_root = '{{$MMSNN_DATA:data}}/digit_events'
dataset = dict(type='mmsnn.DigitEvents', root=data_root, task='det')
load = dict(type='mmsnn.LoadEvents')
boxes = dict(type='LoadAnnotations', with_bbox=True)
frames = dict(type='mmsnn.EventHistogram', bins=2, by='time')
pack = dict(type='mmsnn.PackEventInputs', task='det')
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        dataset,
        split='train',
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[load, boxes, frames, pack]))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, split='val', pipeline=[load, boxes, frames, pack]))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + '/det/annotations/instances_val.json',
    metric='bbox')
test_evaluator = val_evaluator
