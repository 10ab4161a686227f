_base_ = ['metaspikeformer-15m_semantic-fpn_sfa4_8xb2-160k_ade20k-512x512.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=4)
model = dict(
    backbone=dict(neuron=neuron),
    neck=dict(neuron=neuron),
    decode_head=dict(neuron=neuron))
