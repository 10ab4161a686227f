"""Spiking synapses: convolutions and linears with a neuron in front."""

from collections import OrderedDict

import mmcv.cnn
import torch
from mmcv.cnn import build_norm_layer
from torch import nn

from mmsnn.neurons import build_neuron, is_spiking
from mmsnn.neurons.saving import apply_to_spikes, saved_as_bytes
from mmsnn.registry import MODELS


def recast(layer: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """A layer as another class: the same parameters and children.

    Args:
        layer (nn.Module): It is left as it is.
        kind (type): A class with the attributes of the layer's own.

    Returns:
        nn.Module: Hooks, parameters and children that one of the two gets
        later are not the other's.

    Example:
        >>> from mmsnn.layers import SparseConv2d
        >>> conv = nn.Conv2d(1, 1, 1)
        >>> recast(conv, SparseConv2d).weight is conv.weight
        True
    """
    new = kind.__new__(kind)
    new.__dict__.update({
        key: value.copy() if isinstance(value, dict) else value
        for key, value in vars(layer).items()
    })
    return new


class SpikingSynapse:
    """Puts a neuron in front of a synapse; the parameters keep their names.

    Mixed into a subclass of a PyTorch layer. ``neuron`` has no parameters
    (unless its decay is learnt), so a checkpoint of the layer without neuron
    loads as it is. For the gradient of the weights, spikes are kept as bytes.

    Args:
        *args: As in the layer.
        neuron (dict): Config of the neuron.
        **kwargs: As in the layer.
    """

    def __init__(self, *args, neuron: dict, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.neuron = build_neuron(neuron)

    @classmethod
    def from_plain(cls, layer: nn.Module, neuron: dict) -> nn.Module:
        """The spiking form of a PyTorch layer, with the same parameters.

        Args:
            layer (nn.Module): The layer; it is left as it is.
            neuron (dict): Config of the neuron.

        Returns:
            nn.Module: An instance of this class.
        """
        new = recast(layer, cls)
        new.neuron = build_neuron(neuron)
        return new

    def forward(self, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        """Fire, then apply the synapse to the spikes.

        Args:
            x (Tensor): Membrane potentials, in the layer's input shape.
            *args: As in the layer's ``forward`` (the ``output_size`` of a
                transposed convolution).
            **kwargs: As ``args``.

        Returns:
            Tensor: Membrane potentials, in the layer's output shape.
        """
        spikes = self.neuron(x)
        with saved_as_bytes(spikes):
            return super().forward(spikes, *args, **kwargs)


class _CastingSynapse(SpikingSynapse):
    """A synapse that autocast casts the input of, unless it pads it first."""

    def forward(self, x, *args, **kwargs):
        if getattr(self, 'padding_mode', 'zeros') != 'zeros':
            return super().forward(x, *args, **kwargs)
        forward = super(SpikingSynapse, self).forward
        return apply_to_spikes(forward, self.neuron(x), *args, **kwargs)


class SpikingSampling(SpikingSynapse):
    """Puts a neuron in front of a layer that samples where it is told to.

    mmcv's kernels take tensors in one piece of memory, channels first.

    Args:
        *args: As in the layer.
        neuron (dict): Config of the neuron.
        **kwargs: As in the layer.
    """

    def forward(self, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        """Fire, then sample the spikes and apply the weights.

        Args:
            x (Tensor): Membrane potentials, (N, C, H, W).
            *args: As in the layer's ``forward`` (offsets, factors).
            **kwargs: As ``args``.

        Returns:
            Tensor: Membrane potentials, (N, C', H', W').
        """
        x, *args = (a.contiguous() if isinstance(a, torch.Tensor) else a
                    for a in (x, *args))
        return super().forward(x, *args, **kwargs)


@MODELS.register_module()
class SpikeConv1d(_CastingSynapse, nn.Conv1d):
    """``nn.Conv1d`` behind a neuron, for points and sequences.

    Args:
        *args: As in ``nn.Conv1d``.
        neuron (dict): Config of the neuron.
        **kwargs: As in ``nn.Conv1d``.

    Example:
        >>> layer = SpikeConv1d(1, 1, 2, bias=False, neuron=dict(type='ReLU'))
        >>> _ = torch.nn.init.ones_(layer.weight)
        >>> layer(torch.tensor([[[3., -1., 2.]]])).tolist()
        [[[3.0, 2.0]]]
    """


# mmcv's, since heads initialise what they find to be of that class.
@MODELS.register_module()
class SpikeConv2d(_CastingSynapse, mmcv.cnn.Conv2d):
    """``nn.Conv2d`` behind a neuron, for ``conv_cfg`` of any module.

    Args:
        *args: As in ``nn.Conv2d``.
        neuron (dict): Config of the neuron.
        **kwargs: As in ``nn.Conv2d``.

    Example:
        >>> from mmcv.cnn import ConvModule
        >>> conv_cfg = dict(type='mmsnn.SpikeConv2d',
        ...                 neuron=dict(type='mmsnn.SFANeuron', max_spikes=4))
        >>> layer = ConvModule(8, 16, 3, padding=1, conv_cfg=conv_cfg,
        ...                    norm_cfg=dict(type='BN'), act_cfg=None)
        >>> layer(torch.rand(1, 8, 5, 5)).shape
        torch.Size([1, 16, 5, 5])
    """


@MODELS.register_module()
class SpikeConv3d(_CastingSynapse, nn.Conv3d):
    """``nn.Conv3d`` behind a neuron, for volumes and clips.

    Args:
        *args: As in ``nn.Conv3d``.
        neuron (dict): Config of the neuron.
        **kwargs: As in ``nn.Conv3d``.

    Example:
        >>> layer = SpikeConv3d(2, 3, 1, neuron=dict(type='mmsnn.SFANeuron'))
        >>> layer(torch.rand(1, 2, 4, 5, 6)).shape
        torch.Size([1, 3, 4, 5, 6])
    """


@MODELS.register_module()
class SpikeConvTranspose1d(_CastingSynapse, nn.ConvTranspose1d):
    """``nn.ConvTranspose1d`` behind a neuron.

    Args:
        *args: As in ``nn.ConvTranspose1d``.
        neuron (dict): Config of the neuron.
        **kwargs: As in ``nn.ConvTranspose1d``.

    Example:
        >>> layer = SpikeConvTranspose1d(
        ...     2, 3, 2, stride=2, neuron=dict(type='mmsnn.SFANeuron'))
        >>> layer(torch.rand(1, 2, 4)).shape
        torch.Size([1, 3, 8])
    """


@MODELS.register_module()
class SpikeConvTranspose2d(_CastingSynapse, nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` behind a neuron, for upsampling layers.

    Args:
        *args: As in ``nn.ConvTranspose2d``.
        neuron (dict): Config of the neuron.
        **kwargs: As in ``nn.ConvTranspose2d``.

    Example:
        >>> layer = SpikeConvTranspose2d(
        ...     1, 1, 2, stride=2, bias=False, neuron=dict(type='ReLU'))
        >>> _ = torch.nn.init.ones_(layer.weight)
        >>> layer(torch.tensor([[[[3., -1.]]]])).tolist()
        [[[[3.0, 3.0, 0.0, 0.0], [3.0, 3.0, 0.0, 0.0]]]]
    """


@MODELS.register_module()
class SpikeConvTranspose3d(_CastingSynapse, nn.ConvTranspose3d):
    """``nn.ConvTranspose3d`` behind a neuron.

    Args:
        *args: As in ``nn.ConvTranspose3d``.
        neuron (dict): Config of the neuron.
        **kwargs: As in ``nn.ConvTranspose3d``.

    Example:
        >>> layer = SpikeConvTranspose3d(
        ...     2, 3, 2, stride=2, neuron=dict(type='mmsnn.SFANeuron'))
        >>> layer(torch.rand(1, 2, 1, 2, 3)).shape
        torch.Size([1, 3, 2, 4, 6])
    """


@MODELS.register_module()
class SpikeLinear(_CastingSynapse, nn.Linear):
    """``nn.Linear`` behind a neuron.

    Args:
        *args: As in ``nn.Linear``.
        neuron (dict): Config of the neuron.
        **kwargs: As in ``nn.Linear``.

    Example:
        >>> layer = SpikeLinear(
        ...     2, 1, bias=False, neuron=dict(type='mmsnn.SFANeuron', scale=1))
        >>> _ = torch.nn.init.ones_(layer.weight)
        >>> layer(torch.tensor([[1.4, 2.6]])).tolist()  # 1 and 3 spikes
        [[4.0]]
    """


def conv_norm(in_channels: int,
              out_channels: int,
              kernel_size: int,
              stride: int = 1,
              groups: int = 1,
              bias: bool = False,
              norm_cfg: dict | None = dict(type='BN'),
              neuron: dict | None = None,
              inplace: bool = False) -> nn.Sequential:
    """A convolution with its norm, behind a neuron unless that is None.

    Padding is ``kernel_size // 2``. The two children are ``conv`` and
    ``norm``, so that the norm can be folded into the convolution.

    Args:
        in_channels (int): Input channels.
        out_channels (int): Output channels.
        kernel_size (int): Odd kernel size.
        stride (int): Defaults to 1.
        groups (int): Defaults to 1.
        bias (bool): Bias of the convolution. Defaults to False.
        norm_cfg (dict, optional): Defaults to ``dict(type='BN')``. None
            leaves the norm out.
        neuron (dict, optional): Config of the neuron. None where the input
            is an image or already spikes.
        inplace (bool): Nothing else reads the input, so that the neuron may
            overwrite it at inference. Defaults to False.

    Returns:
        nn.Sequential: Maps (N, C_in, H, W) to (N, C_out, H', W').

    Example:
        >>> neuron = dict(type='mmsnn.SFANeuron')
        >>> layer = conv_norm(3, 8, 3, stride=2, neuron=neuron)
        >>> layer(torch.rand(1, 3, 9, 9)).shape, len(layer)
        (torch.Size([1, 8, 5, 5]), 2)
    """
    options = dict(
        stride=stride, padding=kernel_size // 2, groups=groups, bias=bias)
    if neuron is None:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, **options)
    else:
        conv = SpikeConv2d(
            in_channels, out_channels, kernel_size, neuron=neuron, **options)
        if is_spiking(conv.neuron):
            conv.neuron.inplace = inplace
    layers = OrderedDict(conv=conv)
    if norm_cfg is not None:
        layers['norm'] = build_norm_layer(norm_cfg, out_channels)[1]
    return nn.Sequential(layers)
