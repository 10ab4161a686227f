"""Branches of blocks: synapses behind neurons, with norms."""

from collections import OrderedDict

import torch
from torch import nn

from mmsnn.neurons import build_neuron
from mmsnn.neurons.saving import apply_to_spikes, convolved_again

from .reparam import LinearPair
from .synapse import conv_norm


class SpikeSepConv(nn.Sequential):
    """Spike separable convolution (paper, eq. 8 to 11).

    It has three convolutions without biases, each behind a neuron and in front
    of a norm: 1x1 C->rC, depthwise k x k and 1x1 rC->C. That of
    Meta-SpikeFormer has neither norm nor neuron behind its depthwise
    convolution, so that the last 1x1 reads real values.

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        kernel_size (int): k. Defaults to 7.
        expand_ratio (int): r. Defaults to 2.
        bare_depthwise (bool): No norm and no neuron behind the depthwise
            convolution. Defaults to False.
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
                 bare_depthwise: bool = False,
                 norm_cfg: dict = dict(type='BN')) -> None:
        wide = channels * expand_ratio
        between = None if bare_depthwise else neuron
        super().__init__()
        self.add_module(
            'expand',
            conv_norm(channels, wide, 1, neuron=neuron, norm_cfg=norm_cfg))
        self.add_module(
            'depthwise',
            conv_norm(
                wide,
                wide,
                kernel_size,
                groups=wide,
                neuron=neuron,
                norm_cfg=None if bare_depthwise else norm_cfg,
                inplace=True))
        self.add_module(
            'reduce',
            conv_norm(
                wide,
                channels,
                1,
                neuron=between,
                norm_cfg=norm_cfg,
                inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the three convolutions. In training, where they are narrow, the
        norms keep nothing of them: they cost little time and much memory.

        Args:
            x (Tensor): Membrane potentials, (N, C, H, W).

        Returns:
            Tensor: Membrane potentials, same shape.
        """
        with convolved_again():
            return super().forward(x)


class SpikeLinearPair(nn.Sequential):
    """:class:`LinearPair` behind a neuron, C->C.

    Args:
        channels (int): C.
        neuron (dict): Config of the neuron.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.

    Example:
        >>> pair = SpikeLinearPair(4, dict(type='mmsnn.SFANeuron'))
        >>> pair(torch.rand(1, 4, 3, 3)).shape
        torch.Size([1, 4, 3, 3])
    """

    def __init__(self,
                 channels: int,
                 neuron: dict,
                 norm_cfg: dict = dict(type='BN')) -> None:
        super().__init__(
            OrderedDict(
                neuron=build_neuron(neuron),
                linear=LinearPair(channels, channels, norm_cfg=norm_cfg)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Fire, then apply the linear pair to the spikes.

        Args:
            x (Tensor): Membrane potentials, (N, C, H, W).

        Returns:
            Tensor: Membrane potentials, same shape.
        """
        return apply_to_spikes(self.linear, self.neuron(x))


class ChannelMixer(nn.Sequential):
    """Two k x k convolutions, C->rC and rC->C.

    Each is behind a neuron and in front of a norm. This is the channel
    convolution of a convolutional block (3 x 3, no bias), or the MLP of a
    transformer block (1 x 1, bias).

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        kernel_size (int): k.
        bias (bool): Biases of the convolutions.
        expand_ratio (int): r. Defaults to 4.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.

    Example:
        >>> mixer = ChannelMixer(
        ...     4, dict(type='mmsnn.SFANeuron'), kernel_size=3, bias=False)
        >>> mixer(torch.rand(1, 4, 9, 9)).shape
        torch.Size([1, 4, 9, 9])
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
