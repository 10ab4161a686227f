# mmdet's RetinaNet on 5 frames of events. Anchors are half as large as for
# COCO, 16 pixels and up; the head's logits and boxes are a mean over time.
_base_ = [
    '../_base_/models/retinanet_espikeformer_fpn.py',
    '../_base_/datasets/gen1.py', 'mmdet::_base_/schedules/schedule_2x.py',
    'mmdet::_base_/default_runtime.py'
]
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4, timesteps=5)
model = dict(
    data_preprocessor=dict(
        _delete_=True,
        type='mmsnn.EventDetDataPreprocessor',
        pad_size_divisor=32),
    backbone=dict(arch='10m', in_channels=2, neuron=neuron),
    neck=dict(
        neuron=neuron, module=dict(in_channels=[48, 96, 192, 240])),
    bbox_head=dict(
        neuron=neuron,
        module=dict(
            num_classes=2,
            anchor_generator=dict(base_sizes=[4, 8, 16, 32, 64]))))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=4e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=5))
auto_scale_lr = dict(base_batch_size=64)
