# Ablation: binary spikes, LIF with 1 time step.
_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=1)
model = dict(backbone=dict(neuron=neuron))
