# A backbone of the same widths.
_base_ = ['espikeformer-19m_semantic-fpn_sfa4_8xb2-160k_ade20k-512x512.py']
model = dict(backbone=dict(type='mmsnn.MetaSpikeFormer', arch='15m'))
