# Large E-SpikeFormer classifier: mean over positions, linear. Its head reads
# membrane potentials, as published: those are MACs.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsnn.ESpikeFormer',
        arch='83m',
        neuron=dict(type='mmsnn.SFANeuron', max_spikes=4),
        channels_last=True,
        layer_scale_init_value=1e-6,
        drop_path_rate=0.1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512,
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        topk=(1, 5)),
    train_cfg=dict(augments=[
        dict(type='Mixup', alpha=0.8),
        dict(type='CutMix', alpha=1.0)
    ]))
