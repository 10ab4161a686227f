# Ablation: 40% of the patches masked.
_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(mask_ratio=0.4)
