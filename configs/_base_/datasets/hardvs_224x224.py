# HARDVS, 346x260, squeezed into 224x224: pixels that become one share its
# events. 8 frames of equally many events.
_base_ = ['event_recordings.py']
load = [
    dict(type='mmsnn.LoadEvents'),
    dict(type='mmsnn.DownsampleEvents', size=(224, 224))
]
flip = dict(type='mmsnn.RandomEventFlip')
dataset = dict(type='mmsnn.HARDVS', data_root='{{$MMSNN_DATA:data}}/hardvs')
train_dataloader = dict(
    dataset=dict(dataset, pipeline=[*load, flip, *_base_.frames]))
val_dataloader = dict(
    dataset=dict(dataset, split='val', pipeline=[*load, *_base_.frames]))
test_dataloader = dict(
    dataset=dict(dataset, pipeline=[*load, *_base_.frames]))
val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
