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
        mean_over_time=True,
        module=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=num_classes,
            in_channels=in_channels,
            loss=dict(type='mmpretrain.CrossEntropyLoss')))


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
    arch = dict(embed_dims=list(embed_dims), num_heads=num_heads)
    if depths is not None:
        arch['depths'] = list(depths)
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(
            type='mmsnn.ESpikeFormer',
            arch=arch,
            in_channels=in_channels,
            neuron=neuron),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=spiking_head(num_classes, embed_dims[-1], neuron))


def large_classifier(*args,
                     linear_pair: bool = False,
                     layer_scale_init_value: float | None = 1e-6,
                     distillation_head: bool = False,
                     **keys) -> dict:
    """Config of a classifier of E-SpikeFormer's large family.

    Its head reads the mean membrane.

    Args:
        *args: As in :func:`base_classifier`.
        linear_pair (bool): Blocks start with one more linear pair. Defaults
            to False.
        layer_scale_init_value (float, optional): First value of the layer
            scales; None leaves them out. Defaults to 1e-6.
        distillation_head (bool): Take the head of distillation, which has two
            linear layers. Defaults to False.
        **keys: As in :func:`base_classifier`.

    Returns:
        dict: The config.
    """
    config = base_classifier(*args, **keys)
    backbone, head = config['backbone'], config['head']['module']
    backbone['arch'].update(family='large', linear_pair=linear_pair)
    backbone.update(
        layer_scale_init_value=layer_scale_init_value,
        # A linear head does not know T: the mean over time comes before it.
        mean_over_time=not distillation_head)
    if distillation_head:
        head.update(
            type='mmsnn.DistillationClsHead', neuron=backbone['neuron'])
    return dict(config, head=head)


def large_pretraining(*args,
                      linear_pair: bool = False,
                      patch_size: int = 16,
                      mask_ratio: float = 0.5,
                      **keys) -> dict:
    """Config of masked pre-training of E-SpikeFormer's large family.

    All tokens are kept, as published; the decoder is ours.

    Args:
        *args: As in :func:`base_classifier`, of which the backbone is taken.
        linear_pair (bool): As in :func:`large_classifier`.
        patch_size (int): Side of a patch, pixels. Defaults to 16.
        mask_ratio (float): Part of the patches that is masked. Defaults to
            0.5.
        **keys: As in :func:`base_classifier`.

    Returns:
        dict: The config.
    """
    backbone = base_classifier(*args, **keys)['backbone']
    backbone['arch'].update(family='large', linear_pair=linear_pair)
    backbone.update(type='mmsnn.MaskedESpikeFormer', drop_masked=False)
    return dict(
        type='mmsnn.SpikeSparK',
        patch_size=patch_size,
        mask_ratio=mask_ratio,
        backbone=backbone)


def meta_classifier(*args,
                    max_spikes: int = 1,
                    neuron: dict | None = None,
                    **keys) -> dict:
    """Config of a classifier of Meta-SpikeFormer.

    Args:
        *args: As in :func:`base_classifier`, up to ``num_classes``.
        max_spikes (int): D. Defaults to 1.
        neuron (dict, optional): Config of the neurons, instead of
            ``max_spikes``. Defaults to None: LIF over 4 time steps.
        **keys: As in :func:`base_classifier`.

    Returns:
        dict: The config.
    """
    neuron = neuron or dict(
        type='mmsnn.LIFNeuron', max_spikes=max_spikes, timesteps=4)
    config = base_classifier(*args, neuron=neuron, **keys)
    config['backbone']['type'] = 'mmsnn.MetaSpikeFormer'
    return config
