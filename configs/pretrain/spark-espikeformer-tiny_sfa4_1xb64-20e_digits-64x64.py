# Masked pre-training that a CPU can do, on handwritten digits on clutter,
# generated on first use.
_base_ = [
    '../_base_/models/spark_espikeformer.py',
    '../_base_/datasets/digit_scenes_cls_64x64_mim.py',
    '../_base_/schedules/adamw_spark_tiny.py'
]
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=[16, 32, 64, 80],
            depths=[1, 1, 2, 2, 1],
            num_heads=8)),
    neck=dict(in_channels=80, embed_dims=64, depth=2))
