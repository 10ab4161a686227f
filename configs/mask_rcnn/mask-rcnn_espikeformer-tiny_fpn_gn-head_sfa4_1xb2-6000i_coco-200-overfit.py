# Trained and tested on the same 100 images (two have no object, so that they
# are only tested on): can the whole detector learn them?
#
# Batches of 2 are too small for batch norm in the neck and the heads. An SFA
# neuron passes 1/30 of the power of its membrane, a ReLU half; so neurons of
# layers without norm fire from 1 / D on and the RPN starts with larger weights.
# Masks are per class, since mmdet starts class-agnostic ones with logits of
# standard deviation 1.4.
_base_ = [
    '../_base_/models/mask-rcnn_espikeformer_fpn.py',
    '../_base_/datasets/coco_200_instance.py',
    '../_base_/schedules/adamw_cosine_4000i.py'
]
channels = 64
norm_cfg = dict(type='BN', requires_grad=True)
head_norm = dict(type='GN', num_groups=8, requires_grad=True)
head_neuron = dict(type='mmsnn.SFANeuron', max_spikes=4, threshold=0.25)
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=[32, 64, 96, 96],
            depths=[0, 1, 1, 1, 1], num_heads=8),
        norm_cfg=norm_cfg),
    neck=dict(
        module=dict(
            in_channels=[32, 64, 96, 96],
            out_channels=channels,
            num_outs=4,
            norm_cfg=head_norm)),
    rpn_head=dict(
        neuron=head_neuron,
        module=dict(
            in_channels=channels,
            feat_channels=channels,
            anchor_generator=dict(
                strides=[4, 8, 16, 16],
                base_sizes=[8, 24, 64, 128],
                scales=[1, 1.75]),
            init_cfg=dict(
                type='Xavier', layer='Conv2d', gain=2,
                override=[
                    dict(type='Normal', name='rpn_cls', std=0.01),
                    dict(type='Normal', name='rpn_reg', std=0.01)
                ]))),
    roi_head=dict(
        neuron=head_neuron,
        module=dict(
            bbox_roi_extractor=dict(out_channels=channels, finest_scale=28),
            bbox_head=dict(
                type='mmdet.ConvFCBBoxHead',
                num_shared_convs=2,
                num_shared_fcs=0,
                in_channels=channels,
                conv_out_channels=channels,
                norm_cfg=head_norm,
                reg_class_agnostic=True,
                init_cfg=dict(type='Normal', layer='Linear', std=0.005)),
            mask_roi_extractor=dict(out_channels=channels, finest_scale=28),
            mask_head=dict(
                num_convs=2, in_channels=channels,
                conv_out_channels=channels, norm_cfg=head_norm))),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=400, max_per_img=200),
        rcnn=dict(sampler=dict(num=64, pos_fraction=0.5))),
    test_cfg=dict(rpn=dict(nms_pre=400, max_per_img=200)))
train_cfg = dict(max_iters=6000, val_interval=6000)
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(
        custom_keys=dict(
            fc_cls=dict(lr_mult=0.3), fc_reg=dict(lr_mult=0.3))))
train_dataloader = dict(batch_size=2)
ann_file = 'annotations/instances_train2017.json'
val_dataloader = dict(
    dataset=dict(ann_file=ann_file, data_prefix=dict(img='train2017/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=_base_.data_root + ann_file)
test_evaluator = val_evaluator
custom_hooks = [
    dict(type='mmsnn.SpikeInferenceHook', form='counts', dtype='float64')
]
