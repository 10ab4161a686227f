_base_ = ['mask-rcnn_metaspikeformer-15m_fpn_lif-t4_1x_coco.py']
model = dict(
    backbone=dict(arch='55m'),
    neck=dict(module=dict(in_channels=[128, 256, 512, 640])))
