"""The neck of a linear probe."""

from collections.abc import Sequence

import torch
from mmpretrain.models.necks import ClsBatchNormNeck

from mmsnn.registry import MODELS


@MODELS.register_module()
class PooledBatchNormNeck(ClsBatchNormNeck):
    """Mean over positions, then MAE's batch norm in front of a linear probe.

    mmpretrain's ``ClsBatchNormNeck`` for maps instead of class tokens: each
    feature of a frozen encoder gets mean 0 and variance 1 over the images.

    Args:
        input_features (int): Channels of the maps.
        affine (bool): Defaults to False.
        **kwargs: As in ``ClsBatchNormNeck``.

    Example:
        >>> neck = PooledBatchNormNeck(4)
        >>> out, = neck((torch.rand(8, 4, 2, 3), ))
        >>> out.shape, out.mean().abs() < 1e-5
        (torch.Size([8, 4]), tensor(True))
    """

    def forward(self,
                inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Average over positions and normalise.

        Args:
            inputs (Sequence[Tensor]): Maps, (N, C, H, W) each.

        Returns:
            tuple[Tensor]: Features, (N, C) each.
        """
        return super().forward([x.mean((2, 3)) for x in inputs])
