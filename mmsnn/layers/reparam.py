"""Re-parameterised convolutions: chains of linear layers in training that
fold into one convolution for deployment."""

from collections import OrderedDict

import torch
from mmcv.cnn import build_norm_layer
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn
from torch.nn import functional as F


def deploy(module: nn.Module) -> None:
    """Call ``switch_to_deploy`` of a module, or of what has it inside.

    Args:
        module (nn.Module): Any model. One that has the method itself (as
            mmpretrain's re-parameterisable backbones do) takes care of all
            that is inside of it.

    Example:
        >>> net = nn.Sequential(LinearPair(4, 6))
        >>> deploy(net)
        >>> net[0].branch
        Conv2d(4, 6, kernel_size=(1, 1), stride=(1, 1))
    """
    if hasattr(module, 'switch_to_deploy'):
        module.switch_to_deploy()
    else:
        for child in module.children():
            deploy(child)


def norm_as_affine(norm: _BatchNorm) -> tuple[torch.Tensor, torch.Tensor]:
    """What a batch norm in eval mode computes: ``x * scale + shift``.

    Args:
        norm (_BatchNorm): With running statistics.

    Returns:
        tuple[Tensor]: Scale and shift of each channel, in float64.

    Example:
        >>> scale, shift = norm_as_affine(nn.BatchNorm2d(2, eps=0))
        >>> scale.tolist(), shift.tolist()
        ([1.0, 1.0], [0.0, 0.0])
    """
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = torch.zeros_like(scale)
    if norm.affine:
        scale = scale * norm.weight.detach().double()
        shift = norm.bias.detach().double()
    return scale, shift - norm.running_mean.double() * scale


class ReparamConv(nn.Module):
    """A chain of convolutions and batch norms without anything between.

    In training it runs as it is; :meth:`switch_to_deploy` replaces it by the
    one convolution, with bias, that computes the same in eval mode.

    Args:
        **layers (nn.Module): In their order: 1x1 convolutions, at most one
            depthwise convolution, all without bias, and batch norms.

    Raises:
        ValueError: If a norm is no batch norm with running statistics.

    Example:
        >>> conv = ReparamConv(first=nn.Conv2d(2, 4, 1, bias=False),
        ...                    second=nn.Conv2d(4, 3, 1, bias=False))
        >>> conv.switch_to_deploy()
        >>> conv.branch
        Conv2d(2, 3, kernel_size=(1, 1), stride=(1, 1))
    """

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for layer in layers.values():
            norm = layer.norm if isinstance(layer, PaddedNorm) else layer
            if not isinstance(norm, nn.Conv2d) and (
                    not isinstance(norm, _BatchNorm)
                    or norm.running_mean is None):
                raise ValueError(
                    'norm_cfg must name a batch norm with running '
                    f'statistics, since {type(self).__name__} folds into one '
                    f'convolution, but it names {type(norm).__name__}')
        self.branch = nn.Sequential(OrderedDict(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the chain, or the one convolution that it was folded into.

        Args:
            x (Tensor): (N, C_in, H, W).

        Returns:
            Tensor: (N, C_out, H', W').
        """
        return self.branch(x)

    @torch.no_grad()
    def switch_to_deploy(self) -> None:
        """Fold the chain into one convolution, in float64, rounded once."""
        if isinstance(self.branch, nn.Conv2d):
            return
        first = self.branch[0].weight
        kernel, bias = self._equivalent()
        size = kernel.shape[-1]
        conv = nn.Conv2d(
            kernel.shape[1],
            kernel.shape[0],
            size,
            padding=size // 2,
            device=first.device,
            dtype=first.dtype)
        conv.weight.copy_(kernel)
        conv.bias.copy_(bias)
        self.branch = conv.requires_grad_(first.requires_grad)

    def _equivalent(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Kernel and bias of the chain, composed layer by layer."""
        channels = self.branch[0].in_channels
        device = self.branch[0].weight.device
        kernel = torch.eye(channels, dtype=torch.float64, device=device)
        kernel = kernel[..., None, None]
        bias = kernel.new_zeros(channels)
        for layer in self.branch:
            if isinstance(layer, nn.Conv2d):
                kernel, bias = _compose(kernel, bias, layer)
            else:
                scale, shift = norm_as_affine(getattr(layer, 'norm', layer))
                kernel = kernel * scale[:, None, None, None]
                bias = bias * scale + shift
        return kernel, bias


def _compose(kernel: torch.Tensor, bias: torch.Tensor,
             conv: nn.Conv2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel and bias of what is there already, with a convolution behind."""
    weight = conv.weight.double()
    if conv.kernel_size == (1, 1):
        weight = weight[..., 0, 0]
        return torch.tensordot(weight, kernel, 1), weight @ bias
    # Depthwise, behind 1x1 kernels.
    return kernel * weight, bias * weight.sum((1, 2, 3))


class PaddedNorm(nn.Module):
    """A batch norm that pads its output by 1 with what it gives to zero.

    So an unpadded 3x3 convolution behind it sees, beyond the border, the same
    as if the input of the layers in front had been padded with zeros.

    Args:
        norm (_BatchNorm): The norm.

    Example:
        >>> norm = nn.BatchNorm2d(1).eval()
        >>> norm.bias.data.fill_(2)
        tensor([2.])
        >>> PaddedNorm(norm)(torch.ones(1, 1, 1, 1)).round().tolist()
        [[[[2.0, 2.0, 2.0], [2.0, 3.0, 2.0], [2.0, 2.0, 2.0]]]]
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise, then pad.

        Args:
            x (Tensor): (N, C, H, W).

        Returns:
            Tensor: (N, C, H + 2, W + 2).
        """
        norm, around = self.norm, (1, 1, 1, 1)
        x = norm(x)
        of_zero = F.batch_norm(
            x.new_zeros(1, x.shape[1], 1, 1),
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            eps=norm.eps)
        inside = F.pad(x.new_ones(x.shape[-2:], dtype=torch.bool), around)
        return torch.where(inside, F.pad(x, around), of_zero)


def _outer_norm(norm_cfg: dict, channels: int, wanted: bool) -> dict:
    return dict(norm=_norm(norm_cfg, channels)) if wanted else {}


def _norm(norm_cfg: dict, channels: int) -> nn.Module:
    return build_norm_layer(norm_cfg, channels)[1]


class LinearPair(ReparamConv):
    """Linear pair of E-SpikeFormer's large family.

    It has two 1x1 convolutions, a->m and m->b, each in front of a norm,
    without biases and without a neuron between. It folds into one 1x1
    convolution.

    Args:
        in_channels (int): a.
        out_channels (int): b.
        expand_ratio (float): m / a. Defaults to 1.
        outer_norm (bool): Add one more norm at the end. Defaults to False.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.

    Example:
        >>> pair = LinearPair(4, 6, expand_ratio=1.5).eval()
        >>> x = torch.rand(2, 4, 3, 3)
        >>> before = pair(x)
        >>> pair.switch_to_deploy()
        >>> torch.allclose(pair(x), before, atol=1e-5)
        True
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 expand_ratio: float = 1.,
                 outer_norm: bool = False,
                 norm_cfg: dict = dict(type='BN')) -> None:
        wide = int(in_channels * expand_ratio)
        super().__init__(
            conv1=nn.Conv2d(in_channels, wide, 1, bias=False),
            norm1=_norm(norm_cfg, wide),
            conv2=nn.Conv2d(wide, out_channels, 1, bias=False),
            norm2=_norm(norm_cfg, out_channels),
            **_outer_norm(norm_cfg, out_channels, outer_norm))


class RepConv(ReparamConv):
    """RepConv of Meta-SpikeFormer.

    It has a 1x1 convolution, a norm that pads by 1 with what it gives to zero,
    a depthwise 3x3 convolution without padding, a 1x1 convolution and a norm,
    all without biases. It folds into one 3x3 convolution.

    Args:
        in_channels (int): Input channels.
        out_channels (int): Output channels.
        outer_norm (bool): Add one more norm at the end. Defaults to False.
        norm_cfg (dict): Defaults to ``dict(type='BN')``.

    Example:
        >>> conv = RepConv(4, 6).eval()
        >>> x = torch.rand(2, 4, 5, 3)
        >>> before = conv(x)
        >>> conv.switch_to_deploy()
        >>> torch.allclose(conv(x), before, atol=1e-5)
        True
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 outer_norm: bool = False,
                 norm_cfg: dict = dict(type='BN')) -> None:
        super().__init__(
            conv1=nn.Conv2d(in_channels, in_channels, 1, bias=False),
            norm1=PaddedNorm(_norm(norm_cfg, in_channels)),
            depthwise=nn.Conv2d(
                in_channels, in_channels, 3, groups=in_channels, bias=False),
            conv2=nn.Conv2d(in_channels, out_channels, 1, bias=False),
            norm2=_norm(norm_cfg, out_channels),
            **_outer_norm(norm_cfg, out_channels, outer_norm))
