# Meta-SpikeFormer, wider in the later stages: as many parameters, within 1%.
_base_ = ['espikeformer.py']
model = dict(
    backbone=dict(
        type='mmsnn.MetaSpikeFormer',
        arch=dict(embed_dims=[16, 32, 72, 72])),
    head=dict(module=dict(in_channels=72)))
