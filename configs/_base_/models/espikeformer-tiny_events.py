# A small E-SpikeFormer for events of 32 px: one convolutional block, at stride
# 8, and one of attention.
_base_ = ['espikeformer_events.py']
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=[32, 48, 96, 96],
            depths=[0, 0, 1, 1, 0],
            num_heads=8)),
    head=dict(module=dict(num_classes=10, in_channels=96, topk=(1, ))))
