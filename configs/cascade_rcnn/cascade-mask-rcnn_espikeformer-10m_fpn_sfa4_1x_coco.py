# The published widths of this size: 192 in the neck, and 768 in the box heads.
_base_ = ['cascade-mask-rcnn_espikeformer-19m_fpn_sfa4_1x_coco.py']
channels = 192
model = dict(
    backbone=dict(arch='10m'),
    neck=dict(
        module=dict(
            in_channels=[48, 96, 192, 240], out_channels=channels)),
    rpn_head=dict(
        module=dict(in_channels=channels, feat_channels=channels)),
    roi_head=dict(
        module=dict(
            bbox_roi_extractor=dict(out_channels=channels),
            bbox_head=[
                dict(head, in_channels=channels, fc_out_channels=768)
                for head in _base_.model.roi_head.module.bbox_head
            ],
            mask_roi_extractor=dict(out_channels=channels),
            mask_head=dict(
                in_channels=channels, conv_out_channels=channels))))
