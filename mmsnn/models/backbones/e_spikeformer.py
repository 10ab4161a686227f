"""E-SpikeFormer, the backbone of the paper."""

import logging

from mmengine.logging import print_log

from mmsnn.layers import ConvBlock, LinearPairESDSA, TransformerBlock
from mmsnn.registry import MODELS

from .base import FIRST_TRANSFORMER, SpikingBackbone


@MODELS.register_module()
class ESpikeFormer(SpikingBackbone):
    """E-SpikeFormer backbone (paper, section 3.3, Fig. 4).

    The base family has stages 0..4 (1a, 1b, 2, 3, 4) of strides 2, 4, 8, 16,
    16 and widths C0/2, C0, C1, C2, C3. The large family ends with stage 3,
    which works on flat tokens; its attention is made of linear pairs, which
    :meth:`switch_to_deploy` folds.

    Args:
        arch (str | dict): ``'2.7m'``, ``'5m'``, ``'10m'``, ``'19m'`` (base),
            ``'83m'``, ``'173m'`` (large), or a dict with ``embed_dims``
            (C0..C3, or C0..C2 in the large family) and, optionally,
            ``family`` (``'base'`` or ``'large'``), ``depths`` (blocks of the
            stages, default 1, 1, 2, 6, 2 or 1, 1, 2, 12), ``num_heads``
            (default 8) and, in the large family, ``linear_pair`` (blocks
            start with one more linear pair, default False). Defaults to
            ``'10m'``.
        in_channels (int): Channels of the image. Defaults to 3.
        neuron (dict): Config of every neuron. ``dict(type='ReLU')`` gives the
            ReLU twin. Defaults to SFA with 4 spikes.
        layer_scale_init_value (float, optional): First value of the large
            family's layer scale; the base family has none. None or 0 leaves
            it out, as in pre-training. Defaults to 1e-6.
        **kwargs: Other keys of :class:`.base.SpikingBackbone`, such as
            ``out_indices`` and ``drop_path_rate``.

    Raises:
        ValueError: If a key of the config is out of range; the message names
            the key and what is valid.

    Example:
        >>> import torch
        >>> model = ESpikeFormer(
        ...     dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1, 1]),
        ...     out_indices=(1, 2, 3, 4))
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 48))]
        [(1, 8, 16, 12), (1, 16, 8, 6), (1, 24, 4, 3), (1, 32, 4, 3)]
        >>> model = ESpikeFormer(
        ...     dict(family='large', embed_dims=[8, 16, 24],
        ...          depths=[1, 1, 1, 1], linear_pair=True))
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 48))]
        [(1, 24, 4, 3)]
    """

    arch_zoo = {
        '2.7m': dict(embed_dims=(24, 48, 96, 128)),
        '5m': dict(embed_dims=(32, 64, 128, 192)),
        '10m': dict(embed_dims=(48, 96, 192, 240)),
        '19m': dict(embed_dims=(64, 128, 256, 360)),
        '83m': dict(
            family='large', embed_dims=(128, 256, 512), linear_pair=True),
        '173m': dict(family='large', embed_dims=(196, 384, 768)),
    }
    families = dict(
        base=dict(depths=(1, 1, 2, 6, 2), num_heads=8),
        large=dict(depths=(1, 1, 2, 12), num_heads=8, linear_pair=False))

    def __init__(self,
                 arch: str | dict = '10m',
                 in_channels: int = 3,
                 neuron: dict = dict(type='mmsnn.SFANeuron', max_spikes=4),
                 layer_scale_init_value: float | None = 1e-6,
                 **kwargs) -> None:
        super().__init__(arch, neuron, **kwargs)
        self.is_large = self.arch['family'] == 'large'
        if self.is_large:
            # Only attention and MLP are dropped.
            self.first_dropped = FIRST_TRANSFORMER
        self.layer_scale_init_value = layer_scale_init_value
        self.build_stages(in_channels)

    def _conv_block(self, width, drop_path):
        options = dict(sep_conv=None, bias=True) if self.is_large else {}
        return ConvBlock(
            width, drop_path=drop_path, **options, **self.block_options)

    def _transformer_block(self, width, drop_path):
        options = {}
        if self.is_large:
            options = dict(
                attention=LinearPairESDSA,
                sep_conv=None,
                linear_pair=self.arch['linear_pair'],
                layer_scale=self.layer_scale_init_value)
        return TransformerBlock(
            width,
            num_heads=self.arch['num_heads'],
            drop_path=drop_path,
            **options,
            **self.block_options)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        """A state of pre-training has no layer scales: they are not missing
        but start as they do, and the log says so."""
        scales = {
            f'{prefix}{k}': v
            for k, v in self.state_dict().items() if '.layer_scales.' in k
        }
        if scales and f'{prefix}stages.0.downsample.conv.weight' in (
                state_dict) and not scales.keys() & state_dict.keys():
            state_dict.update(scales)
            print_log(
                'The checkpoint has no layer scales, as after pre-training: '
                f'{len(scales)} of them start at '
                f'{self.layer_scale_init_value:g} (layer_scale_init_value)',
                logger='current',
                level=logging.WARNING)
        super()._load_from_state_dict(state_dict, prefix, *args)
