_base_ = [
    '../_base_/models/espikeformer_large_distilled.py',
    '../_base_/datasets/imagenet_bs32_erasing_384.py',
    '../_base_/schedules/lamb_layer-decay_distill_100e.py',
    'mmpretrain::_base_/default_runtime.py'
]
model = dict(
    teacher=dict(model_name='caformer_b36.sail_in22k_ft_in1k_384'))
