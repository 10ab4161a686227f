# What the five classifiers have in common. Each config names a backbone and
# one neuron, for the backbone and in front of the linear layer.
arch = dict(
    embed_dims=[16, 32, 64, 80], depths=[1, 1, 1, 1, 1], num_heads=8)
model = dict(
    type='ImageClassifier',
    backbone=dict(arch=arch),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='mmsnn.SpikingModule',
        merge_time=True,
        module=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=10,
            in_channels=80,
            loss=dict(
                type='LabelSmoothLoss', label_smooth_val=0.1,
                mode='original'),
            topk=(1, ))))
