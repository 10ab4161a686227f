_base_ = ['metaspikeformer-15m_sfa4_8xb256-200e_in1k.py']
model = dict(
    backbone=dict(arch='55m'), head=dict(module=dict(in_channels=640)))
