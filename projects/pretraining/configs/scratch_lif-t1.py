_base_ = ['scratch_sfa4.py']
lif = dict(type='mmsnn.LIFNeuron', timesteps=1)
neuron = dict(lif, _delete_=True)
model = dict(
    backbone=dict(neuron=dict(lif, _delete_=True)),
    head=dict(neuron=dict(lif, _delete_=True)))
