"""Spike sparse convolutions: activations exist at visible positions only.

A mask hides whole patches of an image. At stride s a visible patch of p x p
pixels has t x t positions, t = p / s. Activations are **packed**: of each
image the V visible patches, one below the other, (N, C, V * t, t). What works
on single positions (1x1 convolutions, norms, neurons, residuals) or on sets
of them (attention) runs on packed activations as it is, and statistics are
over visible positions because there are no others. Only convolutions with a
larger kernel have to know where a patch lies: :class:`SpikeSparseConv2d`.
"""

from contextlib import contextmanager
from typing import Dict, Iterator, NamedTuple, Optional, Tuple

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from mmsnn.registry import MODELS

from .synapse import SpikeConv2d, recast

#: Up to this t a convolution is a product with its neighbours' matrix; above,
#: one on the patches with a margin of their neighbours.
SMALL = 2


class _Sources(NamedTuple):
    """Which row goes where: ``out[i] = rows[index[i]]``, 0 if missing."""

    index: torch.Tensor
    missing: torch.Tensor

    @classmethod
    def of(cls, numbers: torch.Tensor) -> '_Sources':
        """From row numbers of any shape; -1 is missing."""
        numbers = numbers.flatten()
        return cls(numbers.clamp(min=0), (numbers < 0).nonzero().flatten())

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, C) to (number of sources, C)."""
        out = rows.index_select(0, self.index)
        return out.index_fill_(0, self.missing, 0) if len(
            self.missing) else out


class _Take(torch.autograd.Function):
    """Rows by sources that name each row at most once: the gradient is taken
    by the sources of the inverse, and nothing has to be added up."""

    @staticmethod
    def forward(ctx, rows, sources, inverse):
        ctx.inverse = inverse
        return sources.take(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return ctx.inverse.take(grad), None, None


def _to_rows(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) to (N * H * W, C); no copy in channels-last layout."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _from_rows(rows: torch.Tensor, samples: int, width: int) -> torch.Tensor:
    """(N * H * W, C) to (N, C, H, W) in channels-last layout."""
    return rows.view(samples, -1, width, rows.shape[1]).permute(0, 3, 1, 2)


def spread(mask: torch.Tensor, side: int) -> torch.Tensor:
    """The mask of positions, ``side`` x ``side`` in each patch.

    Args:
        mask (Tensor): (N, h, w).
        side (int): Positions along a side of a patch.

    Returns:
        Tensor: (N, h * side, w * side).
    """
    return mask.repeat_interleave(side, 1).repeat_interleave(side, 2)


def hide(images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Images with zeros at masked pixels.

    Args:
        images (Tensor): (N, ..., H, W).
        mask (Tensor): (N, h, w), bool, True where a patch is visible.

    Returns:
        Tensor: Same shape.

    Example:
        >>> hide(torch.ones(1, 1, 2, 4), torch.tensor([[[True, False]]]))
        tensor([[[[1., 1., 0., 0.],
                  [1., 1., 0., 0.]]]])
    """
    mask = spread(mask, images.shape[-1] // mask.shape[-1])
    while mask.dim() < images.dim():
        mask = mask.unsqueeze(1)
    return images.masked_fill(~mask, 0)


class VisiblePatches:
    """The visible patches of a batch, and where their positions lie.

    Args:
        mask (Tensor): (N, h, w), bool, True where a patch is visible; the
            same number V of every image.

    Raises:
        ValueError: If the mask is no such tensor.

    Example:
        >>> mask = torch.tensor([[[True, False, True]]])
        >>> patches = VisiblePatches(mask)
        >>> image = torch.arange(12.).view(1, 1, 2, 6)  # patches of 2 x 2
        >>> packed = patches.pack(image)
        >>> packed[0, 0].tolist()
        [[0.0, 1.0], [6.0, 7.0], [4.0, 5.0], [10.0, 11.0]]
        >>> patches.unpack(packed)[0, 0].tolist()
        [[0.0, 1.0, 0.0, 0.0, 4.0, 5.0], [6.0, 7.0, 0.0, 0.0, 10.0, 11.0]]
    """

    def __init__(self, mask: torch.Tensor) -> None:
        if mask.dtype != torch.bool or mask.dim() != 3:
            raise ValueError(
                'mask must be a bool tensor (N, h, w), True where a patch is '
                f'visible, but is {mask.dtype} of shape {tuple(mask.shape)}')
        counts = mask.flatten(1).sum(1)
        if (counts != counts[0]).any():
            raise ValueError('mask must show the same number of patches of '
                             f'every image, but shows {counts.tolist()}')
        self.mask = mask
        self.count = int(counts[0])
        self._numbers: Dict[tuple, torch.Tensor] = {}
        self._sources: Dict[tuple, _Sources] = {}

    def pack(self, grid: torch.Tensor) -> torch.Tensor:
        """(N, C, h * t, w * t) to (N, C, V * t, t), in channels-last layout.

        Raises:
            ValueError: If the grid has no whole positions per patch.
        """
        n, h, w = self.mask.shape
        side = grid.shape[-1] // w
        if not side or grid.shape[0] != n or grid.shape[2:] != (h * side,
                                                                w * side):
            raise ValueError(
                f'a map of shape {tuple(grid.shape)} does not fit a mask of '
                f'shape {tuple(self.mask.shape)}: its sides must be those of '
                'the mask times one integer')
        rows = _Take.apply(
            _to_rows(grid), self._grid_slots(side), self._grid(side))
        return _from_rows(rows, n, side)

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`pack`, with zeros at masked positions."""
        side = packed.shape[-1]
        rows = _Take.apply(
            _to_rows(packed), self._grid(side), self._grid_slots(side))
        return _from_rows(rows, len(packed), self.mask.shape[2] * side)

    def windows(self, packed: torch.Tensor, margin: int) -> torch.Tensor:
        """Each patch with a margin of its neighbours, zeros where they are
        masked: (N * V, C, t + 2 * margin, t + 2 * margin). No gradient."""
        side = packed.shape[-1]
        key = ('windows', side, margin)
        if key not in self._sources:
            wide = side + 2 * margin
            numbers = F.pad(self._rows(side), [margin] * 4, value=-1)
            numbers = numbers.unfold(1, wide, side).unfold(2, wide, side)
            self._sources[key] = _Sources.of(numbers[self.mask])
        rows = self._sources[key].take(_to_rows(packed))
        return _from_rows(rows, len(packed) * self.count, side + 2 * margin)

    def neighbours(self, packed: torch.Tensor, margin: int) -> torch.Tensor:
        """Each position's neighbours and itself side by side, zeros where
        they are masked: (N * V * t * t, (2 * margin + 1)^2 * C). No
        gradient."""
        side = packed.shape[-1]
        key = ('neighbours', side, margin)
        if key not in self._sources:
            size = 2 * margin + 1
            numbers = F.pad(self._rows(side), [margin] * 4, value=-1)
            numbers = numbers.unfold(1, size, 1).unfold(2, size, 1)
            slots = self._grid_slots(side).index
            self._sources[key] = _Sources.of(
                numbers.reshape(-1, size * size)[slots])
        rows = self._sources[key].take(_to_rows(packed))
        return rows.view(len(packed) * self.count * side * side, -1)

    def _rows(self, side: int) -> torch.Tensor:
        """(N, h * t, w * t): the row of each position among the packed ones,
        -1 where it is masked."""
        if side not in self._numbers:
            n, h, w = self.mask.shape
            patch = self.mask.flatten().cumsum(0).sub_(1).view(n, h, 1, w, 1)
            inside = torch.arange(side * side, device=patch.device)
            rows = patch * side * side + inside.view(side, 1, side)
            rows[~self.mask.view(n, h, 1, w, 1).expand_as(rows)] = -1
            self._numbers[side] = rows.view(n, h * side, w * side)
        return self._numbers[side]

    def _grid(self, side: int) -> _Sources:
        key = ('grid', side)
        if key not in self._sources:
            self._sources[key] = _Sources.of(self._rows(side))
        return self._sources[key]

    def _grid_slots(self, side: int) -> _Sources:
        key = ('slots', side)
        if key not in self._sources:
            rows = self._rows(side)
            tiles = torch.arange(
                rows.numel(), device=rows.device).view_as(rows)
            tiles = tiles.unfold(1, side, side).unfold(2, side, side)
            self._sources[key] = _Sources.of(tiles[self.mask])
        return self._sources[key]


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
        self._mask: Optional[torch.Tensor] = None
        self._patches: Dict[int, VisiblePatches] = {}

    @contextmanager
    def visible(self, mask: torch.Tensor) -> Iterator[VisiblePatches]:
        """Show the patches of a mask (N, h, w), and hide the others."""
        before = self._mask, self._patches
        patches = VisiblePatches(mask)
        self._mask, self._patches = mask, {len(mask): patches}
        try:
            yield patches
        finally:
            self._mask, self._patches = before

    def reveal(self) -> None:
        """Hide nothing any more, until the end of :meth:`visible`."""
        self._mask = None

    def patches(self, samples: int) -> Optional[VisiblePatches]:
        """The visible patches of a batch in which each image of the mask
        comes once or, over time, several times; None if nothing is hidden."""
        if self._mask is None:
            return None
        if samples not in self._patches:
            times = samples // len(self._mask)
            self._patches[samples] = VisiblePatches(
                self._mask.repeat_interleave(times, 0))
        return self._patches[samples]


class _SparseConv:
    """Mixed into a subclass of ``nn.Conv2d``."""

    def __init__(self,
                 *args,
                 context: Optional[MaskContext] = None,
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
        if not self._keeps_positions:
            grid = patches.unpack(x)
            return patches.pack(super()._conv_forward(grid, weight, bias))
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            x, weight = x.to(dtype), weight.to(dtype)
            bias = bias if bias is None else bias.to(dtype)
        return _Convolve.apply(x, weight, bias, patches)

    @property
    def _keeps_positions(self) -> bool:
        size = self.kernel_size[0]
        return (self.kernel_size == (size, size) and size % 2 == 1
                and self.padding == (size // 2, size // 2)
                and self.padding_mode == 'zeros' and self.stride == (1, 1)
                and self.dilation == (1, 1) and self.groups == 1)


class SparseConv2d(_SparseConv, nn.Conv2d):
    """:class:`SpikeSparseConv2d` without neuron, for the stem.

    Args:
        *args: As in ``nn.Conv2d``.
        context (MaskContext, optional): Defaults to None: one of its own.
        **kwargs: As in ``nn.Conv2d``.
    """

    dense = nn.Conv2d


# nn.Conv2d is named again because initialisers look at direct bases only.
@MODELS.register_module()
class SpikeSparseConv2d(_SparseConv, SpikeConv2d, nn.Conv2d):
    """Spike sparse convolution, SSC (paper, eq. 13).

    A :class:`SpikeConv2d` whose output exists only at visible positions and
    whose input is zero at masked ones. While nothing is masked it is the
    ordinary convolution, and its parameters are those at any time.

    With stride 1 and one group it computes visible positions only. Any other
    (stride 2, depthwise) runs on the grid, with zeros where nothing is.

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


def _convolve(x: torch.Tensor, weight: torch.Tensor,
              bias: Optional[torch.Tensor],
              patches: VisiblePatches) -> torch.Tensor:
    """Packed (N, C_in, V * t, t) to (N, C_out, V * t, t), stride 1."""
    side, margin = x.shape[-1], weight.shape[-1] // 2
    if side <= SMALL:
        matrix = weight.permute(0, 2, 3, 1).flatten(1)
        rows = F.linear(patches.neighbours(x, margin), matrix, bias)
    else:
        rows = _to_rows(F.conv2d(patches.windows(x, margin), weight, bias))
    return _from_rows(rows, len(x), side)


def _weight_gradient(x: torch.Tensor, grad: torch.Tensor,
                     shape: Tuple[int, ...],
                     patches: VisiblePatches) -> torch.Tensor:
    side, margin = x.shape[-1], shape[-1] // 2
    if side <= SMALL:
        matrix = _to_rows(grad).t() @ patches.neighbours(x, margin)
        return matrix.view(shape[0], *shape[2:], shape[1]).permute(0, 3, 1, 2)
    tiles = _from_rows(_to_rows(grad), len(x) * patches.count, side)
    return conv2d_weight(patches.windows(x, margin), shape, tiles)


class _Convolve(torch.autograd.Function):
    """The gradient of its input is the same sparse convolution of the
    output's, with the kernel turned around. The windows are taken anew for
    the weight's gradient: only the packed input is kept."""

    @staticmethod
    def forward(ctx, x, weight, bias, patches):
        ctx.patches = patches
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias, patches)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        grads = [None] * 4
        if wanted[0]:
            turned = weight.flip(2, 3).transpose(0, 1)
            grads[0] = _convolve(grad, turned, None, ctx.patches)
        if wanted[1]:
            grads[1] = _weight_gradient(x, grad, weight.shape, ctx.patches)
        if wanted[2]:
            grads[2] = grad.sum((0, 2, 3))
        return tuple(grads)
