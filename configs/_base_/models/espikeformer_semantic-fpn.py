# E-SpikeFormer with a spiking Semantic FPN: a neuron in front of each
# convolution of mmseg's own FPN and FPNHead.
channels = 64
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(64, 64),
        pad_val=0,
        seg_pad_val=255),
    backbone=dict(
        type='mmsnn.ESpikeFormer',
        arch=dict(
            embed_dims=[16, 32, 64, 80],
            depths=[1, 1, 2, 2, 1],
            num_heads=8),
        out_indices=(1, 2, 3, 4),
        channels_last=True,
        neuron=neuron),
    neck=dict(
        type='mmsnn.SpikingModule',
        neuron=neuron,
        module=dict(
            type='mmseg.FPN',
            in_channels=[16, 32, 64, 80],
            out_channels=channels,
            num_outs=4,
            norm_cfg=norm_cfg)),
    decode_head=dict(
        type='mmsnn.SpikingModule',
        neuron=neuron,
        mean_over_time=True,
        module=dict(
            type='mmseg.FPNHead',
            in_channels=[channels] * 4,
            in_index=[0, 1, 2, 3],
            feature_strides=[4, 8, 16, 16],
            channels=channels,
            dropout_ratio=0.,
            num_classes=11,
            norm_cfg=norm_cfg,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
