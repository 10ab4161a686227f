"""Folding batch norms into the synapses in front of them."""

from collections import Counter
from typing import Iterator, Tuple

import mmcv.cnn
import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights


def fold_norms(model: nn.Module) -> int:
    """Fold every batch norm whose synapse is known, in place.

    Known are a synapse and the norm right behind it in an ``nn.Sequential``,
    and mmcv's ``ConvModule``. Any other norm stays, and the op trace charges
    it; so does the norm of a synapse that several places share, and of a
    transposed convolution with groups. Folding is done in float64 and
    rounded once.

    Args:
        model (nn.Module): In eval mode, since the running statistics are
            what is folded.

    Returns:
        int: Number of norms folded.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
        >>> fold_norms(net), net[1]
        (1, Identity())
    """
    folded = 0
    for parent, synapse, name in list(_pairs(model)):
        _fold(synapse, getattr(parent, name))
        setattr(parent, name, nn.Identity())
        folded += 1
    return folded


def _pairs(model: nn.Module) -> Iterator[Tuple[nn.Module, nn.Module, str]]:
    """Parent, synapse, and name of the norm that follows it."""
    uses = Counter(
        child for module in model.modules()
        for child in module._modules.values())
    for module in model.modules():
        found = []
        if isinstance(module, mmcv.cnn.ConvModule):
            order = [o for o in module.order if o != 'act'
                     or module.with_activation]
            together = order.index('norm') == order.index('conv') + 1
            if module.with_norm and together:
                found = [(module.conv, module.norm_name)]
        elif type(module).forward is nn.Sequential.forward:
            # All names, also of a child that stands there twice.
            names = list(module._modules)
            found = [(module[i], name) for i, name in enumerate(names[1:])]
        for synapse, name in found:
            if uses[synapse] == 1 and _can_fold(synapse,
                                                getattr(module, name)):
                yield module, synapse, name


def _can_fold(synapse: nn.Module, norm: nn.Module) -> bool:
    return (isinstance(synapse, (nn.modules.conv._ConvNd, nn.Linear))
            and isinstance(norm, _BatchNorm) and not norm.training
            and norm.running_mean is not None
            and not (getattr(synapse, 'transposed', False)
                     and synapse.groups > 1))


def _fold(synapse: nn.Module, norm: nn.Module) -> None:
    def wide(x):
        return None if x is None else x.detach().double()

    variance = wide(norm.running_var)
    arguments = [
        wide(synapse.weight),
        wide(synapse.bias),
        wide(norm.running_mean), variance, norm.eps,
        wide(norm.weight) if norm.affine else torch.ones_like(variance),
        wide(norm.bias) if norm.affine else torch.zeros_like(variance)
    ]
    if isinstance(synapse, nn.Linear):
        weight, bias = fuse_linear_bn_weights(*arguments)
    else:
        weight, bias = fuse_conv_bn_weights(
            *arguments, transpose=synapse.transposed)
    kind = dict(dtype=synapse.weight.dtype,
                memory_format=torch.preserve_format)
    synapse.weight = nn.Parameter(weight.to(**kind), requires_grad=False)
    synapse.bias = nn.Parameter(bias.to(**kind), requires_grad=False)
