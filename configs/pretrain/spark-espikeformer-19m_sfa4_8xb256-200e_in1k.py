_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(backbone=dict(arch='19m'), neck=dict(in_channels=360))
