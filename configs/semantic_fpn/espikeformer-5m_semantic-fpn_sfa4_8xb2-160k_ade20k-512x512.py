_base_ = ['espikeformer-10m_semantic-fpn_sfa4_8xb2-160k_ade20k-512x512.py']
model = dict(
    backbone=dict(arch='5m'),
    neck=dict(module=dict(in_channels=[32, 64, 128, 192])))
