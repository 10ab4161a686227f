# Ablation: decoder of width 512.
_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(neck=dict(embed_dims=512))
