_base_ = ['espikeformer-10m_spark-200e-pre_sfa4_8xb512-linear-90e_in1k.py']
model = dict(
    backbone=dict(
        arch='83m',
        frozen_stages=3,  # all that there are
        layer_scale_init_value=None,
        init_cfg=dict(
            checkpoint='work_dirs/spark-espikeformer-83m_sfa4_8xb128-200e_in1k/'
            'epoch_200.pth')),
    neck=dict(input_features=512),
    head=dict(in_channels=512))
