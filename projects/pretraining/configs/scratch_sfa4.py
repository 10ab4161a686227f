# From random weights, as mmsnn.ESpikeFormer starts without init_cfg. All
# layers learn at the full rate.
_base_ = ['finetune_sfa4.py']
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmsnn.ESpikeFormer',
        arch={{_base_.model.backbone.arch}},
        neuron={{_base_.neuron}},
        channels_last=True))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.))
