# Fine-tuning with few labels; the command names the list of labelled files
# and the pre-trained weights.
_base_ = [
    '../../../configs/pretrain/'
    'espikeformer-tiny_spark-40e-pre_sfa4_1xb100-20e_cifar10-64x64.py'
]
train_dataloader = dict(batch_size=50)
train_cfg = dict(max_epochs=40)
default_hooks = dict(
    logger=dict(interval=1000, ignore_last=False),  # a line per epoch
    checkpoint=dict(max_keep_ckpts=2))
