_base_ = ['espikeformer-19m_semantic-fpn_sfa4_8xb2-160k_ade20k-512x512.py']
neuron = dict(max_spikes=8)
model = dict(
    backbone=dict(neuron=neuron),
    neck=dict(neuron=neuron),
    decode_head=dict(neuron=neuron))
