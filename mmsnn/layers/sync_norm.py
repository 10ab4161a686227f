"""Batch norm over all processes, on CPU too."""

import torch
from mmengine.dist import get_world_size, is_distributed
from torch import nn
from torch.distributed.nn.functional import all_reduce

from mmsnn.registry import MODELS


@MODELS.register_module(name='SyncBN')
class SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm with statistics over all processes, on any device.

    PyTorch's own refuses the CPU. Each process counts by its number of
    elements, which may differ. Alone, or in eval mode, it is
    ``nn.BatchNorm2d`` for any number of axes. On an accelerator
    ``dict(type='SyncBN')`` is faster.

    Args:
        *args: As in ``nn.BatchNorm2d``.
        **kwargs: As in ``nn.BatchNorm2d``.

    Raises:
        ValueError: In training, all processes together have less than two
            values per channel.

    Example:
        >>> SyncBatchNorm(4)(torch.rand(2, 4, 3, 3)).shape
        torch.Size([2, 4, 3, 3])
    """

    #: The processes, None for all.
    process_group = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise each channel over all processes.

        Args:
            x (Tensor): (N, C, ...).

        Returns:
            Tensor: Same shape and dtype.
        """
        group = self.process_group
        if (not self.training or not is_distributed()
                or get_world_size(group) == 1):
            return super().forward(x)
        self._check_input_dim(x)
        dims = [d for d in range(x.dim()) if d != 1]
        shape = (1, -1, *(1 for _ in dims[1:]))
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = wide.new_tensor([x.numel() / x.shape[1]])
        sums = _sum(torch.cat([wide.sum(dims), count]), group)
        count = sums[-1].detach()
        if count < 2:
            raise ValueError('SyncBN in training needs more than one value '
                             f'per channel, over {get_world_size(group)} '
                             f'processes; the input is {tuple(x.shape)}')
        centred = wide - (sums[:-1] / count).view(shape)
        variance = _sum(centred.square().sum(dims), group) / count
        self._update(sums[:-1].detach() / count,
                     variance.detach() * (count / (count - 1)))
        out = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    def _check_input_dim(self, x: torch.Tensor) -> None:
        if x.dim() < 2:
            raise ValueError(f'SyncBN needs an input of (N, C, ...), but got '
                             f'{tuple(x.shape)}')

    def _update(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Move the running statistics as ``nn.BatchNorm2d`` does."""
        if not self.track_running_stats:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # the mean over all batches
            momentum = 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        self.running_var.lerp_(variance.to(self.running_var), momentum)


def _sum(x: torch.Tensor, group) -> torch.Tensor:
    """Sum over all processes, with gradients."""
    return all_reduce(x) if group is None else all_reduce(x, group=group)
