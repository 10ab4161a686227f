# Meta-SpikeFormer classifier with LIF neurons over 4 time steps: mean over
# positions, a neuron, linear, mean of the logits over time.
neuron = dict(type='mmsnn.LIFNeuron', timesteps=4)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmsnn.MetaSpikeFormer', arch='15m', neuron=neuron),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='mmsnn.SpikingModule',
        neuron=dict(neuron, scale=1.),
        merge_time=True,
        module=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=1000,
            in_channels=360,
            loss=dict(
                type='LabelSmoothLoss', label_smooth_val=0.1,
                mode='original'),
            topk=(1, 5))))
