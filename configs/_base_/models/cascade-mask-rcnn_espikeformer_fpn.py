# Cascade Mask R-CNN: the Mask R-CNN with three box heads, each trained on
# boxes that overlap more with objects. All numbers are mmdet's.
_base_ = ['mask-rcnn_espikeformer_fpn.py']
model = dict(
    type='CascadeRCNN',
    rpn_head=dict(
        module=dict(loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9))),
    roi_head=dict(
        module=dict(
            type='CascadeRoIHead',
            num_stages=3,
            stage_loss_weights=[1, 0.5, 0.25],
            bbox_head=[
                dict(
                    _base_.model.roi_head.module.bbox_head,
                    bbox_coder=dict(
                        type='DeltaXYWHBBoxCoder',
                        target_means=[0.] * 4,
                        target_stds=[center, center, size, size]),
                    reg_class_agnostic=True,
                    loss_bbox=dict(
                        type='SmoothL1Loss', beta=1.0, loss_weight=1.0))
                for center, size in ((0.1, 0.2), (0.05, 0.1), (0.033, 0.067))
            ])),
    train_cfg=dict(
        rpn=dict(allowed_border=0),
        rpn_proposal=dict(max_per_img=2000),
        rcnn=[
            dict(
                _base_.model.train_cfg.rcnn,
                assigner=dict(
                    type='MaxIoUAssigner',
                    pos_iou_thr=iou,
                    neg_iou_thr=iou,
                    min_pos_iou=iou,
                    match_low_quality=False,
                    ignore_iof_thr=-1)) for iou in (0.5, 0.6, 0.7)
        ]))
