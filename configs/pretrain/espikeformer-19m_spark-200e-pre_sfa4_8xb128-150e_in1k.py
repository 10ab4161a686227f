_base_ = ['espikeformer-10m_spark-200e-pre_sfa4_8xb128-150e_in1k.py']
model = dict(
    backbone=dict(
        arch='19m',
        init_cfg=dict(
            checkpoint='work_dirs/spark-espikeformer-19m_sfa4_8xb256-200e_in1k/'
            'epoch_200.pth')),
    head=dict(module=dict(in_channels=360)))
