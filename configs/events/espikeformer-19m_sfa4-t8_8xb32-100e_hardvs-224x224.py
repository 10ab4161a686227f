_base_ = [
    '../_base_/models/espikeformer_events.py',
    '../_base_/datasets/hardvs_224x224.py',
    '../_base_/schedules/adamw_hardvs_100e.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(
    backbone=dict(arch='19m'),
    head=dict(module=dict(num_classes=300, in_channels=360)))
