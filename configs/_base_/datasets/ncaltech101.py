# N-Caltech101, 240x180: a tenth of each class is the test set.
_base_ = ['event_recordings.py']
dataset = dict(
    type='mmsnn.NCaltech101', data_root='{{$MMSNN_DATA:data}}/ncaltech101')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
