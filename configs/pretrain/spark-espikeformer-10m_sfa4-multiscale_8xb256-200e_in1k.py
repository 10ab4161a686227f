# Ablation: SparK's decoder, from the maps of stride 16, 8 and 4.
_base_ = ['spark-espikeformer-10m_sfa4_8xb256-200e_in1k.py']
model = dict(
    backbone=dict(out_indices=(1, 2, 4)),
    neck=dict(
        _delete_=True,
        type='mmsnn.MultiScaleDecoder',
        in_channels=[48, 96, 240]))
