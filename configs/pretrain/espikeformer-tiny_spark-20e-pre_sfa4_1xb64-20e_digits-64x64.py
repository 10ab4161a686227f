# Fine-tuning of the small twin on digits, end to end.
_base_ = [
    '../_base_/models/espikeformer-tiny.py',
    '../_base_/datasets/digit_scenes_cls_64x64.py',
    '../_base_/schedules/adamw_layer-decay_tiny.py'
]
model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/spark-espikeformer-tiny_sfa4_1xb64-20e_digits-64x64/'
            'epoch_20.pth',
            prefix='backbone.')))
