# A small E-SpikeFormer classifier for 64 px. A config adds the neuron, in the
# backbone and in front of the linear layer.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsnn.ESpikeFormer',
        arch=dict(
            embed_dims=[16, 32, 64, 64], depths=[0, 0, 1, 2, 1],
            num_heads=8)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='mmsnn.SpikingModule',
        merge_time=True,
        module=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=10,
            in_channels=64,
            loss=dict(
                type='LabelSmoothLoss', label_smooth_val=0.1,
                mode='original'),
            topk=(1, ))))
