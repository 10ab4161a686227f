_base_ = ['retinanet_metaspikeformer-15m_fpn_sfa4_1x_coco.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=4)
model = dict(
    backbone=dict(neuron=neuron),
    neck=dict(neuron=neuron),
    bbox_head=dict(neuron=neuron))
