"""Spike sparse convolutions: activations exist at visible positions only.

What works on single positions (norms, neurons, residuals) or on sets of them
(attention) runs on packed activations (:mod:`mmsnn.layers.visible`) as it is,
and statistics are over visible positions because there are no others. Only
convolutions have to know where a patch lies: :class:`SpikeSparseConv2d`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.neurons.autocast import autocast_type
from mmsnn.registry import MODELS

from .sparse_conv import sparse_conv2d
from .synapse import SpikeConv2d, recast
from .visible import VisiblePatches, from_rows, to_rows

#: With fewer input channels, convolutions of stride 2 run on the grid.
FEW = 16


class MaskContext:
    """Tells the sparse convolutions of one model what is visible now.

    A model owns one and its convolutions hold it; a copy of the model has its
    own. Outside of :meth:`visible` the convolutions are ordinary ones.

    Example:
        >>> context = MaskContext()
        >>> with context.visible(torch.tensor([[[True, False]]])):
        ...     context.patches(2).mask.tolist()  # two time steps each
        [[[True, False]], [[True, False]]]
        >>> context.patches(2) is None
        True
    """

    def __init__(self) -> None:
        self._mask: torch.Tensor | None = None
        self._patches: dict[int, VisiblePatches] = {}

    @contextmanager
    def visible(self, mask: torch.Tensor) -> Iterator[VisiblePatches]:
        """Show the patches of a mask, and hide the others, while a block runs.

        Args:
            mask (Tensor): (N, h, w), bool, True where a patch is visible; the
                same number of every image.

        Yields:
            VisiblePatches: Those of the mask.

        Raises:
            ValueError: If the mask is no such tensor.
        """
        before = self._mask, self._patches
        patches = VisiblePatches(mask)
        self._mask, self._patches = mask, {len(mask): patches}
        try:
            yield patches
        finally:
            self._mask, self._patches = before

    @contextmanager
    def _restored(self, state: tuple) -> Iterator[None]:
        before = self._mask, self._patches
        self._mask, self._patches = state
        try:
            yield
        finally:
            self._mask, self._patches = before

    def now(self) -> AbstractContextManager:
        """What is visible now, to be so again while a block runs later.

        Returns:
            AbstractContextManager: The context.

        Example:
            >>> context = MaskContext()
            >>> with context.visible(torch.tensor([[[True, False]]])):
            ...     later = context.now()
            >>> with later:
            ...     context.patches(1).mask.tolist()
            [[[True, False]]]
        """
        return self._restored((self._mask, self._patches))

    def reveal(self) -> None:
        """Hide nothing any more, until the end of :meth:`visible`."""
        self._mask = None

    def patches(self, samples: int) -> VisiblePatches | None:
        """The visible patches of a batch.

        Args:
            samples (int): Size of the batch, in which each image of the mask
                comes once or, over time, several times.

        Returns:
            VisiblePatches | None: None if nothing is hidden.
        """
        if self._mask is None:
            return None
        if samples not in self._patches:
            times = samples // len(self._mask)
            self._patches[samples] = VisiblePatches(
                self._mask.repeat_interleave(times, 0))
        return self._patches[samples]


class _SparseConv:
    """Makes a convolution sparse; mixed into a subclass of ``nn.Conv2d``."""

    def __init__(self,
                 *args,
                 context: MaskContext | None = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.context = MaskContext() if context is None else context

    @classmethod
    def from_dense(cls, conv: nn.Conv2d, context: MaskContext) -> nn.Conv2d:
        """The sparse form of a convolution, with the same parameters and the
        same neuron if it has one."""
        new = recast(conv, cls)
        new.context = context
        return new

    def to_dense(self) -> nn.Conv2d:
        """The ordinary convolution with the same parameters and neuron."""
        new = recast(self, self.dense)
        del new.context
        return new

    def _conv_forward(self, x, weight, bias):
        patches = self.context.patches(len(x))
        if patches is None:
            return super()._conv_forward(x, weight, bias)
        if not self._joins_rows(x.shape[-1]):
            grid = patches.unpack(x)
            return patches.pack(super()._conv_forward(grid, weight, bias))
        if self.kernel_size == self.stride == (1, 1):
            # One product for all images is fast; each has few rows.
            rows = F.linear(to_rows(x), weight.flatten(1), bias)
            return from_rows(rows, len(x), *x.shape[2:])
        dtype = autocast_type(x.device)
        if dtype is not None:
            x, weight = x.to(dtype), weight.to(dtype)
            bias = bias if bias is None else bias.to(dtype)
        return sparse_conv2d(x, weight, bias, patches, self.stride[0])

    def _joins_rows(self, side: int) -> bool:
        size, stride = self.kernel_size[0], self.stride[0]
        return (self.kernel_size == (size, size) and size % 2 == 1
                and self.padding == (size // 2, size // 2)
                and self.padding_mode == 'zeros'
                and self.stride == (stride, stride) and side % stride == 0
                and self.dilation == (1, 1) and self.groups == 1
                and (stride == 1 or self.in_channels >= FEW))


class SparseConv2d(_SparseConv, nn.Conv2d):
    """:class:`SpikeSparseConv2d` without neuron (stem, linear pairs).

    Args:
        *args: As in ``nn.Conv2d``.
        context (MaskContext, optional): Defaults to None: one of its own.
        **kwargs: As in ``nn.Conv2d``.

    Example:
        >>> conv = SparseConv2d(1, 1, 3, padding=1, bias=False)
        >>> _ = nn.init.ones_(conv.weight)
        >>> conv(torch.ones(1, 1, 2, 2))[0, 0].tolist()  # nothing is hidden
        [[4.0, 4.0], [4.0, 4.0]]
    """

    dense = nn.Conv2d


# nn.Conv2d is named again because initialisers look at direct bases only.
@MODELS.register_module()
class SpikeSparseConv2d(_SparseConv, SpikeConv2d, nn.Conv2d):
    """Spike sparse convolution, SSC (paper, eq. 13).

    A :class:`SpikeConv2d` whose output exists only at visible positions and
    whose input is zero at masked ones. While nothing is masked it is the
    ordinary convolution, and its parameters are those at any time.

    With one group it computes visible positions only (1x1: as one matrix
    product of all images). Any other (depthwise, the stem) runs on the grid,
    with zeros where nothing is.

    Args:
        *args: As in ``nn.Conv2d``.
        neuron (dict): Config of the neuron.
        context (MaskContext, optional): Says what is visible. Defaults to
            None: one of its own.
        **kwargs: As in ``nn.Conv2d``.

    Example:
        >>> conv = SpikeSparseConv2d(
        ...     1, 1, 3, padding=1, bias=False, neuron=dict(type='ReLU'))
        >>> _ = nn.init.ones_(conv.weight)
        >>> mask = torch.tensor([[[True, False, True], [True, True, False]]])
        >>> with conv.context.visible(mask) as patches:
        ...     out = conv(patches.pack(torch.ones(1, 1, 2, 3)))
        ...     patches.unpack(out)[0, 0].tolist()  # visible neighbours
        [[3.0, 0.0, 2.0], [3.0, 4.0, 0.0]]
    """

    dense = SpikeConv2d
