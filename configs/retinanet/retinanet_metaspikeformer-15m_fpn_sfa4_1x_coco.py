# A backbone of the same widths.
_base_ = ['retinanet_espikeformer-19m_fpn_sfa4_1x_coco.py']
model = dict(backbone=dict(type='mmsnn.MetaSpikeFormer', arch='15m'))
