# A small E-SpikeFormer classifier for 32 px: wide and shallow, which trains
# fastest on a CPU. A config adds the neuron, in the backbone and in front of
# the linear layer.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsnn.ESpikeFormer',
        arch=dict(
            embed_dims=[64, 128, 128, 128], depths=[0, 0, 1, 1, 0],
            num_heads=8)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='mmsnn.SpikingModule',
        merge_time=True,
        module=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=10,
            in_channels=128,
            loss=dict(
                type='LabelSmoothLoss', label_smooth_val=0.1,
                mode='original'),
            topk=(1, ))))
