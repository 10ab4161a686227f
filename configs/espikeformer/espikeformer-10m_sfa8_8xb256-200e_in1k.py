_base_ = ['espikeformer-10m_sfa4_8xb256-200e_in1k.py']
neuron = dict(max_spikes=8)
model = dict(backbone=dict(neuron=neuron), head=dict(neuron=neuron))
