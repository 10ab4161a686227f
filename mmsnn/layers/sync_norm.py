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
    ``nn.BatchNorm2d``. On an accelerator ``dict(type='SyncBN')`` is faster.

    Args:
        *args: As in ``nn.BatchNorm2d``.
        **kwargs: As in ``nn.BatchNorm2d``.

    Example:
        >>> SyncBatchNorm(4)(torch.rand(2, 4, 3, 3)).shape
        torch.Size([2, 4, 3, 3])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise each channel over all processes.

        Args:
            x (Tensor): (N, C, H, W).

        Returns:
            Tensor: Same shape and dtype.
        """
        if not self.training or not is_distributed() or get_world_size() == 1:
            return super().forward(x)
        dims = (0, 2, 3)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = wide.new_tensor([x.numel() / x.shape[1]])
        sums = all_reduce(torch.cat([wide.sum(dims), count]))
        count = sums[-1].detach()
        centred = wide - (sums[:-1] / count).view(1, -1, 1, 1)
        variance = all_reduce(centred.square().sum(dims)) / count
        self._update(sums[:-1].detach() / count,
                     variance.detach() * (count / (count - 1)))
        out = centred * (variance + self.eps).rsqrt().view(1, -1, 1, 1)
        if self.affine:
            out = out * self.weight.view(1, -1, 1, 1) + self.bias.view(
                1, -1, 1, 1)
        return out.to(x.dtype)

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
