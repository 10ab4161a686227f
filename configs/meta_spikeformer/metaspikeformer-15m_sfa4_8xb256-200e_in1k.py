_base_ = ['metaspikeformer-15m_lif-t1_8xb256-200e_in1k.py']
neuron = dict(_delete_=True, type='mmsnn.SFANeuron', max_spikes=4)
model = dict(
    backbone=dict(neuron=neuron), head=dict(neuron=dict(neuron, scale=1.)))
