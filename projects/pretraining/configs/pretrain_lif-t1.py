_base_ = ['pretrain_ssc.py']
neuron = dict(_delete_=True, type='mmsnn.LIFNeuron', timesteps=1)
model = dict(backbone=dict(neuron=neuron))
