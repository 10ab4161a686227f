# Gen1 of Prophesee, 304x240, cars and pedestrians: the 50 ms before each
# annotation in 5 frames. tools/dataset_converters/gen1.py writes the boxes.
data_root = '{{$MMSNN_DATA:data}}/gen1/'
load = dict(type='mmsnn.LoadEvents')
boxes = dict(type='LoadAnnotations', with_bbox=True)
frames = dict(type='mmsnn.EventHistogram', bins=5, by='time')
pack = dict(type='mmsnn.PackEventInputs', task='det')
dataset = dict(type='mmsnn.EventCocoDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        dataset,
        ann_file='annotations/instances_train.json',
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            load, boxes,
            dict(type='mmsnn.RandomEventFlip'), frames, pack
        ]))
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        dataset,
        ann_file='annotations/instances_val.json',
        test_mode=True,
        pipeline=[load, boxes, frames, pack]))
test_dataloader = dict(
    val_dataloader,
    dataset=dict(
        val_dataloader['dataset'],
        ann_file='annotations/instances_test.json'))
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/instances_val.json',
    metric='bbox')
test_evaluator = dict(
    val_evaluator, ann_file=data_root + 'annotations/instances_test.json')
