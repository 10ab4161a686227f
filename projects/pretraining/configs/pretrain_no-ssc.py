_base_ = ['pretrain_ssc.py']
model = dict(backbone=dict(ssc=False))
