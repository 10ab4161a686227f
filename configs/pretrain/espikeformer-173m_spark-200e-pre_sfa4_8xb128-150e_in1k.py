_base_ = ['../espikeformer/espikeformer-173m_sfa4_8xb128-150e_in1k.py']
model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/spark-espikeformer-173m_sfa4_8xb128-200e_in1k/'
            'epoch_200.pth',
            prefix='backbone.')))
