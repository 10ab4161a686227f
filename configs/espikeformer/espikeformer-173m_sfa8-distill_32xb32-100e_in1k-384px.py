_base_ = ['espikeformer-83m_sfa8-distill_32xb32-100e_in1k-384px.py']
model = dict(backbone=dict(arch='173m'), head=dict(in_channels=768))
