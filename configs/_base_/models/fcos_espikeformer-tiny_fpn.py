# FCOS with mmdet's own neck and head, whose group norms keep its neurons
# firing. `regress_ranges`: digits are 20 to 46 pixels high.
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
channels = 64
model = dict(
    type='FCOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=16),
    backbone=dict(
        type='mmsnn.ESpikeFormer',
        arch=dict(
            embed_dims=[32, 64, 96, 96], depths=[0, 1, 1, 1, 0], num_heads=8),
        out_indices=(1, 2, 4),
        channels_last=True,
        neuron=neuron),
    neck=dict(
        type='mmsnn.SpikingModule',
        neuron=neuron,
        module=dict(
            type='mmdet.FPN',
            in_channels=[32, 64, 96],
            out_channels=channels,
            num_outs=3,
            norm_cfg=dict(type='BN'))),
    bbox_head=dict(
        type='mmsnn.SpikingModule',
        neuron=neuron,
        module=dict(
            type='mmdet.FCOSHead',
            num_classes=10,
            in_channels=channels,
            feat_channels=channels,
            stacked_convs=2,
            strides=[4, 8, 16],
            regress_ranges=((-1, 24), (24, 40), (40, 1e8)),
            center_sampling=True,
            center_sample_radius=2.5,
            norm_on_bbox=True,
            centerness_on_reg=True,
            norm_cfg=dict(type='GN', num_groups=8),
            loss_bbox=dict(type='GIoULoss', loss_weight=1.))),
    test_cfg=dict(
        nms_pre=1000,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=20))
