# Ablation: binary spikes, LIF with 4 time steps.
_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=4)
model = dict(backbone=dict(neuron=neuron))
