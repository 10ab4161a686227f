_base_ = [
    'metaspikeformer-15m_semantic-fpn_lif-t4_8xb2-160k_ade20k-512x512.py'
]
model = dict(
    backbone=dict(arch='55m'),
    neck=dict(module=dict(in_channels=[128, 256, 512, 640])))
