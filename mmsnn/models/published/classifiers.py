"""Configs of the published models."""

from collections.abc import Sequence


def spiking_head(num_classes: int, in_channels: int, neuron: dict) -> dict:
    """A linear layer behind a neuron whose output is the spike count itself,
    averaged over time (E-SpikeFormer's base family, Meta-SpikeFormer)."""
    return dict(
        type='mmsnn.SpikingModule',
        neuron=dict(neuron, scale=1.0),
        merge_time=True,
        module=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=num_classes,
            in_channels=in_channels,
            loss=dict(type='mmpretrain.CrossEntropyLoss')))


def _classifier(kind: str, arch: dict, neuron: dict, in_channels: int,
                head: dict, **backbone) -> dict:
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(
            type=kind,
            arch=arch,
            in_channels=in_channels,
            neuron=neuron,
            **backbone),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=head)


def _arch(embed_dims, depths, num_heads, **keys) -> dict:
    if depths is not None:
        keys['depths'] = list(depths)
    return dict(embed_dims=list(embed_dims), num_heads=num_heads, **keys)


def base_classifier(embed_dims: Sequence[int],
                    depths: Sequence[int] | None = None,
                    num_heads: int = 8,
                    num_classes: int = 1000,
                    max_spikes: int = 4,
                    in_channels: int = 3,
                    neuron: dict | None = None) -> dict:
    """E-SpikeFormer, base family."""
    neuron = neuron or dict(type='mmsnn.SFANeuron', max_spikes=max_spikes)
    return _classifier(
        'mmsnn.ESpikeFormer', _arch(embed_dims, depths, num_heads), neuron,
        in_channels, spiking_head(num_classes, embed_dims[-1], neuron))


def large_classifier(embed_dims: Sequence[int],
                     depths: Sequence[int] | None = None,
                     num_heads: int = 8,
                     num_classes: int = 1000,
                     max_spikes: int = 4,
                     in_channels: int = 3,
                     neuron: dict | None = None,
                     linear_pair: bool = False,
                     layer_scale_init_value: float | None = 1e-6,
                     distillation_head: bool = False) -> dict:
    """E-SpikeFormer, large family: the head reads the mean membrane."""
    neuron = neuron or dict(type='mmsnn.SFANeuron', max_spikes=max_spikes)
    head = dict(num_classes=num_classes, in_channels=embed_dims[-1])
    if distillation_head:
        head.update(type='mmsnn.DistillationClsHead', neuron=neuron)
    else:
        head.update(type='mmpretrain.LinearClsHead')
    return _classifier(
        'mmsnn.ESpikeFormer',
        _arch(
            embed_dims,
            depths,
            num_heads,
            family='large',
            linear_pair=linear_pair),
        neuron,
        in_channels,
        dict(head, loss=dict(type='mmpretrain.CrossEntropyLoss')),
        layer_scale_init_value=layer_scale_init_value,
        # A linear head does not know T: the mean over time comes before it.
        merge_time=not distillation_head)


def large_pretraining(embed_dims: Sequence[int],
                      depths: Sequence[int] | None = None,
                      num_heads: int = 8,
                      max_spikes: int = 4,
                      in_channels: int = 3,
                      neuron: dict | None = None,
                      linear_pair: bool = False,
                      patch_size: int = 16,
                      mask_ratio: float = 0.5) -> dict:
    """Masked pre-training of the large family. All tokens are kept, as
    published; the decoder is ours."""
    return dict(
        type='mmsnn.SpikeSparK',
        patch_size=patch_size,
        mask_ratio=mask_ratio,
        backbone=dict(
            type='mmsnn.MaskedESpikeFormer',
            arch=_arch(
                embed_dims,
                depths,
                num_heads,
                family='large',
                linear_pair=linear_pair),
            in_channels=in_channels,
            neuron=neuron
            or dict(type='mmsnn.SFANeuron', max_spikes=max_spikes),
            drop_masked=False))


def meta_classifier(embed_dims: Sequence[int],
                    depths: Sequence[int] | None = None,
                    num_heads: int = 8,
                    num_classes: int = 1000,
                    max_spikes: int = 1,
                    in_channels: int = 3,
                    neuron: dict | None = None) -> dict:
    """Meta-SpikeFormer, with LIF neurons over 4 time steps by default."""
    neuron = neuron or dict(
        type='mmsnn.LIFNeuron', max_spikes=max_spikes, timesteps=4)
    return _classifier(
        'mmsnn.MetaSpikeFormer', _arch(embed_dims, depths, num_heads), neuron,
        in_channels, spiking_head(num_classes, embed_dims[-1], neuron))
