_base_ = ['scratch_sfa4.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=1)
model = dict(backbone=dict(neuron=neuron), head=dict(neuron=neuron))
