_base_ = ['cascade-mask-rcnn_espikeformer-19m_fpn_sfa4_1x_coco.py']
neuron = dict(max_spikes=8)
model = dict(
    backbone=dict(neuron=neuron),
    neck=dict(neuron=neuron),
    rpn_head=dict(neuron=neuron),
    roi_head=dict(neuron=neuron))
