_base_ = ['metaspikeformer-15m_lif-t4_8xb64-accum4-200e_in1k.py']
model = dict(
    backbone=dict(arch='55m'), head=dict(module=dict(in_channels=640)))
