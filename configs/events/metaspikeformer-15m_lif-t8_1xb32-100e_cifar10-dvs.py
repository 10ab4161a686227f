_base_ = [
    '../_base_/models/metaspikeformer_events.py',
    '../_base_/datasets/cifar10_dvs.py',
    '../_base_/schedules/adamw_events.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(head=dict(module=dict(num_classes=10, topk=(1, ))))
