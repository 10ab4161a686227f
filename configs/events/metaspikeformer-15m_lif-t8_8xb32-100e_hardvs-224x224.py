_base_ = [
    '../_base_/models/metaspikeformer_events.py',
    '../_base_/datasets/hardvs_224x224.py',
    '../_base_/schedules/adamw_hardvs_100e.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(head=dict(module=dict(num_classes=300)))
