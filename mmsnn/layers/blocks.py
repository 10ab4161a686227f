"""Blocks of E-SpikeFormer. Residuals add membrane potentials (MS shortcut):
every branch starts with a neuron and ends with a norm."""

import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from torch import nn

from .attention import ESDSA
from .synapse import conv_norm


class SpikeSepConv(nn.Sequential):
    """Spike separable convolution (paper, eq. 8 to 11).

    Neuron, 1x1 C->rC, neuron, depthwise k x k, neuron, 1x1 rC->C; a norm
    after each convolution, no biases.

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        kernel_size (int): k. Defaults to 7.
        expand_ratio (int): r. Defaults to 2.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.

    Example:
        >>> block = SpikeSepConv(4, dict(type='mmsnn.SFANeuron'))
        >>> block(torch.rand(1, 4, 9, 9)).shape
        torch.Size([1, 4, 9, 9])
    """

    def __init__(self,
                 channels: int,
                 neuron: dict,
                 kernel_size: int = 7,
                 expand_ratio: int = 2,
                 norm_cfg: dict = dict(type='BN')) -> None:
        wide = channels * expand_ratio
        options = dict(neuron=neuron, norm_cfg=norm_cfg)
        super().__init__()
        self.add_module('expand', conv_norm(channels, wide, 1, **options))
        self.add_module(
            'depthwise',
            conv_norm(
                wide,
                wide,
                kernel_size,
                groups=wide,
                inplace=True,
                **options))
        self.add_module(
            'reduce', conv_norm(wide, channels, 1, inplace=True, **options))


class ChannelMixer(nn.Sequential):
    """Neuron, k x k C->rC, neuron, k x k rC->C, a norm after each.

    The channel convolution of a convolutional block (3 x 3, no bias), or the
    MLP of a transformer block (1 x 1, bias).

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        kernel_size (int): k.
        bias (bool): Biases of the convolutions.
        expand_ratio (int): r. Defaults to 4.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
    """

    def __init__(self,
                 channels: int,
                 neuron: dict,
                 kernel_size: int,
                 bias: bool,
                 expand_ratio: int = 4,
                 norm_cfg: dict = dict(type='BN')) -> None:
        wide = channels * expand_ratio
        options = dict(
            kernel_size=kernel_size,
            bias=bias,
            neuron=neuron,
            norm_cfg=norm_cfg)
        super().__init__()
        self.add_module('expand', conv_norm(channels, wide, **options))
        self.add_module(
            'reduce', conv_norm(wide, channels, inplace=True, **options))


class ConvBlock(BaseModule):
    """``x + SepConv(x)``, then ``x + ChannelMixer(x)`` with 3x3 kernels.

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        drop_path (float): Probability to drop a branch. Defaults to 0.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
    """

    def __init__(self,
                 channels: int,
                 neuron: dict,
                 drop_path: float = 0.,
                 norm_cfg: dict = dict(type='BN')) -> None:
        super().__init__()
        options = dict(neuron=neuron, norm_cfg=norm_cfg)
        self.sep_conv = SpikeSepConv(channels, kernel_size=7, **options)
        self.mixer = ChannelMixer(
            channels, kernel_size=3, bias=False, **options)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map membrane potentials (N, C, H, W) to the same shape."""
        for branch in (self.sep_conv, self.mixer):
            out = self.drop_path(branch(x))
            out += x
            x = out
        return x


class TransformerBlock(BaseModule):
    """``x + SepConv(x)``, ``x + E-SDSA(x)``, ``x + MLP(x)``.

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        num_heads (int): Defaults to 8.
        drop_path (float): Probability to drop a branch. Defaults to 0.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.
    """

    def __init__(self,
                 channels: int,
                 neuron: dict,
                 num_heads: int = 8,
                 drop_path: float = 0.,
                 norm_cfg: dict = dict(type='BN')) -> None:
        super().__init__()
        options = dict(neuron=neuron, norm_cfg=norm_cfg)
        self.sep_conv = SpikeSepConv(channels, kernel_size=3, **options)
        self.attention = ESDSA(channels, num_heads=num_heads, **options)
        self.mlp = ChannelMixer(channels, kernel_size=1, bias=True, **options)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map membrane potentials (N, C, H, W) to the same shape."""
        for branch in (self.sep_conv, self.attention, self.mlp):
            out = self.drop_path(branch(x))
            out += x
            x = out
        return x
