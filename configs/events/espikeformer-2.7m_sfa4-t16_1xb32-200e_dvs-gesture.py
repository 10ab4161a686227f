_base_ = [
    '../_base_/models/espikeformer_events.py',
    '../_base_/datasets/dvs_gesture.py',
    '../_base_/schedules/adamw_events.py',
    'mmpretrain::_base_/default_runtime.py'
]
neuron = dict(timesteps=16)
model = dict(
    backbone=dict(arch='2.7m', neuron=neuron),
    head=dict(
        neuron=neuron,
        module=dict(num_classes=11, in_channels=128, topk=(1, ))))
train_cfg = dict(max_epochs=200)
