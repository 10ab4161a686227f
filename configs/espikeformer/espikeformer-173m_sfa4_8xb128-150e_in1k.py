_base_ = ['espikeformer-83m_sfa4_8xb128-150e_in1k.py']
model = dict(backbone=dict(arch='173m'), head=dict(in_channels=768))
