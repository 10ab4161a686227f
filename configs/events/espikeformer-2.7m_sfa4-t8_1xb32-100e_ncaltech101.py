_base_ = [
    '../_base_/models/espikeformer_events.py',
    '../_base_/datasets/ncaltech101.py',
    '../_base_/schedules/adamw_events.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(
    backbone=dict(arch='2.7m'),
    head=dict(module=dict(num_classes=101, in_channels=128, topk=(1, ))))
