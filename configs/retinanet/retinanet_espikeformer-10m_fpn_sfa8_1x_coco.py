_base_ = ['retinanet_espikeformer-10m_fpn_sfa4_1x_coco.py']
neuron = dict(max_spikes=8)
model = dict(
    backbone=dict(neuron=neuron),
    neck=dict(neuron=neuron),
    bbox_head=dict(neuron=neuron))
