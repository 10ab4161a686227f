"""Configs of the published models."""

from collections.abc import Sequence


def spiking_head(num_classes: int, in_channels: int, neuron: dict) -> dict:
    """Config of a head that reads spike counts, averaged over time.

    E-SpikeFormer's base family and Meta-SpikeFormer have it: a linear layer
    behind a neuron whose scale is 1.

    Args:
        num_classes (int): Classes.
        in_channels (int): Channels of the input.
        neuron (dict): Config of the neuron.

    Returns:
        dict: The config.

    Example:
        >>> head = spiking_head(10, 32, dict(type='mmsnn.SFANeuron'))
        >>> head['neuron']
        {'type': 'mmsnn.SFANeuron', 'scale': 1.0}
    """
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
    """Config of a classifier of E-SpikeFormer's base family.

    Args:
        embed_dims (Sequence[int]): Widths.
        depths (Sequence[int], optional): Blocks of the stages. Defaults to
            None: those of the published models.
        num_heads (int): Heads. Defaults to 8.
        num_classes (int): Classes. Defaults to 1000.
        max_spikes (int): D. Defaults to 4.
        in_channels (int): Channels of the image. Defaults to 3.
        neuron (dict, optional): Config of the neurons, instead of
            ``max_spikes``. Defaults to None: SFA.

    Returns:
        dict: The config.
    """
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
    """Config of a classifier of E-SpikeFormer's large family.

    Its head reads the mean membrane.

    Args:
        embed_dims (Sequence[int]): Widths.
        depths (Sequence[int], optional): Blocks of the stages. Defaults to
            None: those of the published models.
        num_heads (int): Heads. Defaults to 8.
        num_classes (int): Classes. Defaults to 1000.
        max_spikes (int): D. Defaults to 4.
        in_channels (int): Channels of the image. Defaults to 3.
        neuron (dict, optional): Config of the neurons, instead of
            ``max_spikes``. Defaults to None: SFA.
        linear_pair (bool): Blocks start with one more linear pair. Defaults
            to False.
        layer_scale_init_value (float, optional): First value of the layer
            scales; None leaves them out. Defaults to 1e-6.
        distillation_head (bool): Take the head of distillation, which has two
            linear layers. Defaults to False.

    Returns:
        dict: The config.
    """
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
    """Config of masked pre-training of E-SpikeFormer's large family.

    All tokens are kept, as published; the decoder is ours.

    Args:
        embed_dims (Sequence[int]): Widths.
        depths (Sequence[int], optional): Blocks of the stages. Defaults to
            None: those of the published models.
        num_heads (int): Heads. Defaults to 8.
        max_spikes (int): D. Defaults to 4.
        in_channels (int): Channels of the image. Defaults to 3.
        neuron (dict, optional): Config of the neurons, instead of
            ``max_spikes``. Defaults to None: SFA.
        linear_pair (bool): Blocks start with one more linear pair. Defaults
            to False.
        patch_size (int): Side of a patch, pixels. Defaults to 16.
        mask_ratio (float): Part of the patches that is masked. Defaults to
            0.5.

    Returns:
        dict: The config.
    """
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
    """Config of a classifier of Meta-SpikeFormer.

    Args:
        embed_dims (Sequence[int]): Widths.
        depths (Sequence[int], optional): Blocks of the stages. Defaults to
            None: those of the published models.
        num_heads (int): Heads. Defaults to 8.
        num_classes (int): Classes. Defaults to 1000.
        max_spikes (int): D. Defaults to 1.
        in_channels (int): Channels of the image. Defaults to 3.
        neuron (dict, optional): Config of the neurons, instead of
            ``max_spikes``. Defaults to None: LIF over 4 time steps.

    Returns:
        dict: The config.
    """
    neuron = neuron or dict(
        type='mmsnn.LIFNeuron', max_spikes=max_spikes, timesteps=4)
    return _classifier(
        'mmsnn.MetaSpikeFormer', _arch(embed_dims, depths, num_heads), neuron,
        in_channels, spiking_head(num_classes, embed_dims[-1], neuron))
