_base_ = ['spark-espikeformer-83m_sfa4_8xb128-200e_in1k.py']
model = dict(backbone=dict(arch='173m'), neck=dict(in_channels=768))
