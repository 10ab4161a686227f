# Ablation: ordinary convolutions on the image with zeros at masked pixels.
_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(backbone=dict(ssc=False))
