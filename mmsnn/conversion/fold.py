"""Folding batch norms into the synapses in front of them."""

from collections import Counter
from collections.abc import Iterator

import mmcv.cnn
import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from mmsnn.layers import norm_as_affine


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


def _pairs(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module, str]]:
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
    scale, shift = norm_as_affine(norm)
    shape = [1] * synapse.weight.dim()
    shape[1 if getattr(synapse, 'transposed', False) else 0] = -1
    weight = synapse.weight.detach().double() * scale.view(shape)
    bias = shift
    if synapse.bias is not None:
        bias = synapse.bias.detach().double() * scale + shift
    kind = dict(dtype=synapse.weight.dtype,
                memory_format=torch.preserve_format)
    synapse.weight = nn.Parameter(weight.to(**kind), requires_grad=False)
    synapse.bias = nn.Parameter(bias.to(**kind), requires_grad=False)
