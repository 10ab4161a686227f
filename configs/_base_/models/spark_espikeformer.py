# Masked pre-training of E-SpikeFormer: half of the patches of 16 px hidden,
# plain transformer decoder.
neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
model = dict(
    type='mmsnn.SpikeSparK',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(type='mmsnn.MaskedESpikeFormer', arch='10m', neuron=neuron),
    neck=dict(
        type='mmsnn.PlainDecoder',
        in_channels=240,
        embed_dims=256,
        depth=4,
        num_heads=4),
    patch_size=16,
    mask_ratio=0.5)
