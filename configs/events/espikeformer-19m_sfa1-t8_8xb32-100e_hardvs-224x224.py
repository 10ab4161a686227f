# One spike a time step, T x D = 8 x 1.
_base_ = ['espikeformer-19m_sfa4-t8_8xb32-100e_hardvs-224x224.py']
neuron = dict(max_spikes=1)
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=dict(max_spikes=1)))
