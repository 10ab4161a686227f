_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(backbone=dict(arch='83m'), neck=dict(in_channels=512))
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 1024 / 256))
auto_scale_lr = dict(base_batch_size=1024)
