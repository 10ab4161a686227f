# Trained and tested on the same 100 images (two have no object, so that they
# are only tested on): can the whole detector learn them?
#
# What heads learn by heart must not move, and any change of weights in front
# of spikes moves it: backbone and neck are trained for 1,500 iterations only,
# all images have one size, so that no padding depends on the other image, and
# norms are group norms. Rates are small there, too, and large where scores
# are read off. Boxes are regressed per class, as is usual: one readout for
# all classes can hardly move them.
# An SFA neuron with D = 4 passes 1/30 of the power of its membrane, a ReLU
# half; so neurons have D = 8 and small thresholds, and the RPN starts with
# larger weights. Its two wide convolutions, many anchors and 600 proposals
# with few duplicates are for small objects, which have no proposal otherwise;
# the box head improves those from an IoU of 0.4 on.
# Masks are per class, since mmdet starts class-agnostic ones with logits of
# standard deviation 1.4.
_base_ = [
    '../_base_/models/mask-rcnn_espikeformer_fpn.py',
    '../_base_/datasets/coco_200_instance.py',
    '../_base_/schedules/adamw_cosine_4000i.py'
]
channels = 96
strides = [8, 16, 16]
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
neuron = dict(type='mmsnn.SFANeuron', max_spikes=8, threshold=0.5)
head_neuron = dict(type='mmsnn.SFANeuron', max_spikes=8, threshold=0.25)
proposals = dict(nms_pre=500, max_per_img=600, nms=dict(iou_threshold=0.5))
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=[32, 64, 128, 128],
            depths=[0, 0, 1, 1, 1], num_heads=8),
        out_indices=(2, 3, 4),
        neuron=neuron,
        norm_cfg=norm_cfg),
    neck=dict(
        neuron=head_neuron,
        module=dict(
            in_channels=[64, 128, 128],
            out_channels=channels,
            num_outs=4,
            norm_cfg=norm_cfg)),
    rpn_head=dict(
        neuron=head_neuron,
        module=dict(
            in_channels=channels,
            feat_channels=192,
            num_convs=2,
            anchor_generator=dict(
                strides=[*strides, 32],
                base_sizes=[12, 28, 64, 120],
                scales=[1, 1.31, 1.71]),
            loss_bbox=dict(loss_weight=5.0),
            init_cfg=dict(
                type='Xavier', layer='Conv2d', gain=2,
                override=[
                    dict(type='Normal', name='rpn_cls', std=0.01),
                    dict(type='Normal', name='rpn_reg', std=0.01)
                ]))),
    roi_head=dict(
        neuron=head_neuron,
        module=dict(
            bbox_roi_extractor=dict(
                out_channels=channels, finest_scale=56,
                featmap_strides=strides, roi_layer=dict(sampling_ratio=2)),
            bbox_head=dict(
                type='mmdet.ConvFCBBoxHead',
                num_shared_convs=1,
                num_shared_fcs=0,
                in_channels=channels,
                conv_out_channels=channels,
                norm_cfg=norm_cfg,
                reg_class_agnostic=False,
                loss_bbox=dict(loss_weight=4.0),
                init_cfg=dict(type='Normal', layer='Linear', std=0.005)),
            mask_roi_extractor=dict(
                out_channels=channels, finest_scale=56,
                featmap_strides=strides,
                roi_layer=dict(output_size=7, sampling_ratio=2)),
            mask_head=dict(
                num_convs=1, roi_feat_size=7, in_channels=channels,
                conv_out_channels=channels, norm_cfg=norm_cfg))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                pos_iou_thr=0.5, neg_iou_thr=0.3, min_pos_iou=0.3),
            sampler=dict(num=512, pos_fraction=0.25)),
        rpn_proposal=proposals,
        rcnn=dict(
            mask_size=14,
            assigner=dict(
                pos_iou_thr=0.4, neg_iou_thr=0.4, min_pos_iou=0.4),
            sampler=dict(num=64, pos_fraction=0.5))),
    test_cfg=dict(rpn=proposals))
train_cfg = dict(max_iters=7500, val_interval=7500)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            neck=dict(lr_mult=0.1),
            rpn_conv=dict(lr_mult=0.3),
            shared_convs=dict(lr_mult=0.1),
            mask_head=dict(lr_mult=0.5),
            fc_cls=dict(lr_mult=2.0))))
resize = dict(type='Resize', scale=(320, 240), keep_ratio=False)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'), _base_.annotations, resize,
        dict(type='PackDetInputs')
    ]))
ann_file = 'annotations/instances_train2017.json'
val_dataloader = dict(
    dataset=dict(
        ann_file=ann_file,
        data_prefix=dict(img='train2017/'),
        pipeline=[
            dict(type='LoadImageFromFile'), resize, _base_.annotations,
            _base_.val_dataloader.dataset.pipeline[-1]
        ]))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=_base_.data_root + ann_file)
test_evaluator = val_evaluator
custom_hooks = [
    dict(
        type='mmsnn.FreezeHook', modules=['backbone', 'neck'], begin=1500),
    dict(type='mmsnn.SpikeInferenceHook', form='counts', dtype='float64')
]
