# Digit scenes with class masks, 64x64, generated on first use.
_base_ = ['segmentation.py']
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
test_pipeline = pipeline  # mmseg.apis.inference_model reads it
dataset = dict(
    type='mmsnn.DigitScenes',
    root='{{$MMSNN_DATA:data}}/digit_scenes',
    task='seg',
    pipeline=pipeline)
train_dataloader = dict(batch_size=16, dataset=dict(dataset, split='train'))
val_dataloader = dict(batch_size=8, dataset=dict(dataset, split='val'))
test_dataloader = val_dataloader
