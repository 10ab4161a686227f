# The neck averages over time, so that the heads see one time step.
_base_ = ['cascade-mask-rcnn_metaspikeformer-15m_fpn_sfa4_1x_coco.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=4)
model = dict(
    backbone=dict(neuron=neuron),
    neck=dict(neuron=neuron),
    rpn_head=dict(neuron=dict(neuron, timesteps=1)),
    roi_head=dict(neuron=dict(neuron, timesteps=1)))
