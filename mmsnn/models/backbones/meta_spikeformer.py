"""Meta-SpikeFormer, the backbone of Spike-driven Transformer V2."""

from mmsnn.layers import SDSA3, ConvBlock, TransformerBlock
from mmsnn.registry import MODELS

from .base import SpikingBackbone


@MODELS.register_module()
class MetaSpikeFormer(SpikingBackbone):
    """Meta-SpikeFormer backbone (Spike-driven Transformer V2).

    It has the stages of E-SpikeFormer's base family, 0..4 of strides 2, 4, 8,
    16, 16 and widths C0/2, C0, C1, C2, C3. Its attention (SDSA-3) is made of
    RepConvs, which :meth:`switch_to_deploy` folds. The depthwise convolution
    of its SepConv has no neuron behind it: the 1x1 convolution that follows
    reads real values, and the op trace charges it as such.

    Args:
        arch (str | dict): ``'15m'``, ``'31m'``, ``'55m'``, or a dict with
            ``embed_dims`` (C0..C3) and, optionally, ``depths`` (blocks of the
            five stages, default 1, 1, 2, 6, 2) and ``num_heads`` (default 8).
            Defaults to ``'15m'``.
        in_channels (int): Channels of the image. Defaults to 3.
        neuron (dict): Config of every neuron. Defaults to LIF over 4 time
            steps, as published; ``dict(type='mmsnn.SFANeuron')`` is the
            paper's ablation.
        **kwargs: Other keys of :class:`.base.SpikingBackbone`, such as
            ``out_indices`` and ``drop_path_rate``.

    Raises:
        ValueError: If a key of the config is out of range; the message names
            the key and what is valid.

    Example:
        >>> import torch
        >>> model = MetaSpikeFormer(
        ...     dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1, 1]))
        >>> [tuple(x.shape) for x in model(torch.rand(2, 3, 64, 48))]
        [(8, 32, 4, 3)]
        >>> [tuple(x.shape) for x in model(torch.rand(2, 4, 3, 64, 48))]
        [(8, 32, 4, 3)]
    """

    arch_zoo = {
        '15m': dict(embed_dims=(64, 128, 256, 360)),
        '31m': dict(embed_dims=(96, 192, 384, 480)),
        '55m': dict(embed_dims=(128, 256, 512, 640)),
    }
    families = dict(meta=dict(depths=(1, 1, 2, 6, 2), num_heads=8))

    def __init__(self,
                 arch: str | dict = '15m',
                 in_channels: int = 3,
                 neuron: dict = dict(type='mmsnn.LIFNeuron', timesteps=4),
                 **kwargs) -> None:
        super().__init__(arch, neuron, **kwargs)
        self.build_stages(in_channels)

    def _conv_block(self, width, drop_path):
        return ConvBlock(
            width,
            sep_conv=dict(kernel_size=7, bare_depthwise=True),
            drop_path=drop_path,
            **self.block_options)

    def _transformer_block(self, width, drop_path):
        return TransformerBlock(
            width,
            num_heads=self.arch['num_heads'],
            attention=SDSA3,
            sep_conv=None,
            drop_path=drop_path,
            **self.block_options)
