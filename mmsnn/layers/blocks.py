"""Blocks of all models. Residuals add membrane potentials (MS shortcut):
every branch starts with a neuron and ends with a norm."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmpretrain.models.utils import LayerScale
from torch import nn

from .attention import ESDSA, SpikeAttention
from .branches import ChannelMixer, SpikeLinearPair, SpikeSepConv
from .reparam import deploy


class ResidualBlock(BaseModule):
    """``x + branch(x)`` for one branch after the other.

    Args:
        branches (dict[str, nn.Module]): Branches under their names, in the
            order in which they run.
        channels (int): C.
        drop_path (float): Probability to drop a branch. Defaults to 0.
        layer_scale (float, optional): First value of the channel-wise factor
            on a branch's output. Defaults to None: no such factor.
        plain (Sequence[str]): Branches that are neither dropped nor scaled.
            Defaults to ().

    Example:
        >>> block = ResidualBlock(OrderedDict(same=nn.Identity()), channels=1)
        >>> block(torch.ones(1, 1, 1, 2))
        tensor([[[[2., 2.]]]])
    """

    def __init__(self,
                 branches: 'OrderedDict[str, nn.Module]',
                 channels: int,
                 drop_path: float = 0.,
                 layer_scale: float | None = None,
                 plain: Sequence[str] = ()) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.branches = tuple(branches)
        self.plain = tuple(plain)
        self.drop_path = DropPath(drop_path)
        self.layer_scales = nn.ModuleDict({
            name: LayerScale(
                channels, layer_scale, data_format='channels_first')
            for name in branches if layer_scale and name not in plain
        })

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the output of each branch to its input, one after the other.

        Args:
            x (Tensor): Membrane potentials, (N, C, H, W).

        Returns:
            Tensor: Membrane potentials, same shape.
        """
        for name in self.branches:
            out = getattr(self, name)(x)
            if name in self.layer_scales:
                out = self.layer_scales[name](out)
            if name not in self.plain:
                out = self.drop_path(out)
            out += x
            x = out
        return x

    @torch.no_grad()
    def switch_to_deploy(self) -> None:
        """Fold layer scales into the last norm of their branch, and chains of
        convolutions into one."""
        for name, layer_scale in list(self.layer_scales.items()):
            # Branches own their layers in the order in which they run.
            last = [
                m for m in getattr(self, name).modules()
                if isinstance(m, (nn.Conv2d, _BatchNorm))
            ][-1]
            if last.weight is None:  # a norm that is not affine
                continue
            for parameter in last.parameters(recurse=False):
                shape = (-1, *[1] * (parameter.dim() - 1))
                parameter.mul_(layer_scale.weight.view(shape))
            del self.layer_scales[name]
        for child in self.children():
            deploy(child)


class ConvBlock(ResidualBlock):
    """``x + SepConv(x)``, then ``x + ChannelMixer(x)`` with 3x3 kernels.

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        sep_conv (dict, optional): Keys of :class:`SpikeSepConv`. None leaves
            it out (E-SpikeFormer's large family). Defaults to
            ``dict(kernel_size=7)``.
        bias (bool): Biases of the 3x3 convolutions. Defaults to False.
        drop_path (float): Probability to drop a branch. Defaults to 0.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.

    Example:
        >>> block = ConvBlock(4, dict(type='mmsnn.SFANeuron'))
        >>> block.branches
        ('sep_conv', 'mixer')
        >>> block(torch.rand(1, 4, 9, 9)).shape
        torch.Size([1, 4, 9, 9])
    """

    def __init__(self,
                 channels: int,
                 neuron: dict,
                 sep_conv: dict | None = dict(kernel_size=7),
                 bias: bool = False,
                 drop_path: float = 0.,
                 norm_cfg: dict = dict(type='BN')) -> None:
        options = dict(neuron=neuron, norm_cfg=norm_cfg)
        branches = OrderedDict()
        if sep_conv is not None:
            branches['sep_conv'] = SpikeSepConv(channels, **sep_conv,
                                                **options)
        branches['mixer'] = ChannelMixer(
            channels, kernel_size=3, bias=bias, **options)
        super().__init__(branches, channels, drop_path)


class TransformerBlock(ResidualBlock):
    """``x + SepConv(x)``, ``x + attention(x)``, ``x + MLP(x)``.

    Without the SepConv no position sees its neighbours but by attention: the
    input may then be any set of tokens, (N, C, L, 1).

    Args:
        channels (int): C.
        neuron (dict): Config of the neurons.
        num_heads (int): Defaults to 8.
        attention (type): The variant of attention. Defaults to
            :class:`ESDSA`.
        sep_conv (dict, optional): Keys of :class:`SpikeSepConv`. None leaves
            it out. Defaults to ``dict(kernel_size=3)``.
        linear_pair (bool): Start with ``x + pair(neuron(x))``. Defaults to
            False.
        drop_path (float): Probability to drop a branch (not the linear
            pair). Defaults to 0.
        layer_scale (float, optional): First value of the factor on each
            branch's output (not the linear pair's). Defaults to None: none.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.

    Example:
        >>> block = TransformerBlock(16, dict(type='mmsnn.SFANeuron'))
        >>> block.branches
        ('sep_conv', 'attention', 'mlp')
        >>> block(torch.rand(1, 16, 3, 5)).shape
        torch.Size([1, 16, 3, 5])
    """

    def __init__(self,
                 channels: int,
                 neuron: dict,
                 num_heads: int = 8,
                 attention: type[SpikeAttention] = ESDSA,
                 sep_conv: dict | None = dict(kernel_size=3),
                 linear_pair: bool = False,
                 drop_path: float = 0.,
                 layer_scale: float | None = None,
                 norm_cfg: dict = dict(type='BN')) -> None:
        options = dict(neuron=neuron, norm_cfg=norm_cfg)
        branches = OrderedDict()
        if linear_pair:
            branches['pair'] = SpikeLinearPair(channels, **options)
        if sep_conv is not None:
            branches['sep_conv'] = SpikeSepConv(channels, **sep_conv,
                                                **options)
        branches['attention'] = attention(
            channels, num_heads=num_heads, **options)
        branches['mlp'] = ChannelMixer(
            channels, kernel_size=1, bias=True, **options)
        super().__init__(
            branches, channels, drop_path, layer_scale, plain=('pair', ))
