_base_ = ['espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(
    backbone=dict(arch='2.7m'), head=dict(module=dict(in_channels=128)))
