# E-SpikeFormer classifier: mean over positions, a neuron whose output is the
# spike count itself (scale 1), linear.
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsnn.ESpikeFormer',
        arch='10m',
        neuron=neuron,
        channels_last=True),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='mmsnn.SpikingModule',
        neuron=dict(neuron, scale=1.),
        module=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=1000,
            in_channels=240,
            loss=dict(
                type='LabelSmoothLoss', label_smooth_val=0.1,
                mode='original'),
            topk=(1, 5))))
