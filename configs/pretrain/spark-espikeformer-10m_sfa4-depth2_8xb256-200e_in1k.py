# Ablation: decoder of 2 blocks.
_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(neck=dict(depth=2))
