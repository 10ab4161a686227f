_base_ = [
    '../../../configs/pretrain/'
    'spark-espikeformer-tiny_sfa4_1xb100-40e_cifar10-64x64.py'
]
custom_hooks = [
    dict(type='mmsnn.EffectiveRankHook'),
    dict(type='mmsnn.ReconstructionHook', interval=5)
]
