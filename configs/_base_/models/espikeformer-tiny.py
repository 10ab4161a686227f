# A small E-SpikeFormer that classifies ten digits or kinds of things.
_base_ = ['espikeformer.py']
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=[16, 32, 64, 80],
            depths=[1, 1, 2, 2, 1],
            num_heads=8)),
    head=dict(module=dict(num_classes=10, in_channels=80, topk=(1, ))))
