# The published width of this size: 192.
_base_ = ['retinanet_espikeformer-19m_fpn_sfa4_1x_coco.py']
channels = 192
model = dict(
    backbone=dict(arch='10m'),
    neck=dict(
        module=dict(
            in_channels=[48, 96, 192, 240], out_channels=channels)),
    bbox_head=dict(
        module=dict(in_channels=channels, feat_channels=channels)))
