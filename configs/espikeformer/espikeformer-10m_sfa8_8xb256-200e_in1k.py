_base_ = ['espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(
    backbone=dict(neuron=dict(max_spikes=8)),
    head=dict(neuron=dict(max_spikes=8)))
