# The classical neuron: leaky, one spike a time step, hard reset.
_base_ = [
    '../_base_/models/metaspikeformer_events.py',
    '../_base_/datasets/nmnist_1100.py',
    '../_base_/schedules/adamw_events_tiny.py'
]
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=[32, 48, 96, 96],
            depths=[0, 0, 1, 1, 0],
            num_heads=8)),
    head=dict(module=dict(num_classes=10, in_channels=96, topk=(1, ))))
