# Meta-SpikeFormer, wider in the later stages: as many parameters, within 1%.
_base_ = ['espikeformer.py']
model = dict(
    backbone=dict(
        type='mmsnn.MetaSpikeFormer',
        arch=dict(embed_dims=[64, 128, 136, 160])),
    head=dict(module=dict(in_channels=160)))
