"""Where the visible patches of an image lie.

A mask hides whole patches of an image. At stride s a visible patch of p x p
pixels has t x t positions, t = p / s. Activations are **packed**: of each
image the V visible patches, one below the other, (N, C, V * t, t).
"""

from typing import NamedTuple

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


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


def to_rows(x: torch.Tensor) -> torch.Tensor:
    """Put the positions of maps one below the other.

    Args:
        x (Tensor): (N, C, H, W); not copied in channels-last layout.

    Returns:
        Tensor: (N * H * W, C).

    Example:
        >>> to_rows(torch.arange(4.).view(1, 2, 1, 2)).tolist()
        [[0.0, 2.0], [1.0, 3.0]]
    """
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def from_rows(rows: torch.Tensor, samples: int, height: int,
              width: int) -> torch.Tensor:
    """Make maps of rows, the inverse of :func:`to_rows`.

    Args:
        rows (Tensor): (N * H * W, C).
        samples (int): N.
        height (int): H.
        width (int): W.

    Returns:
        Tensor: (N, C, H, W) in channels-last layout.

    Example:
        >>> from_rows(torch.tensor([[0., 2.], [1., 3.]]), 1, 1, 2).tolist()
        [[[[0.0, 1.0]], [[2.0, 3.0]]]]
    """
    return rows.view(samples, height, width,
                     rows.shape[1]).permute(0, 3, 1, 2)


def enlarge_mask(mask: torch.Tensor, side: int) -> torch.Tensor:
    """The mask of positions, ``side`` x ``side`` in each patch.

    Args:
        mask (Tensor): (N, h, w).
        side (int): Positions along a side of a patch.

    Returns:
        Tensor: (N, h * side, w * side).

    Example:
        >>> enlarge_mask(torch.tensor([[[True, False]]]), 2).int()
        tensor([[[1, 1, 0, 0],
                 [1, 1, 0, 0]]], dtype=torch.int32)
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
    mask = enlarge_mask(mask, images.shape[-1] // mask.shape[-1])
    while mask.dim() < images.dim():
        mask = mask.unsqueeze(1)
    return torch.where(mask, images, 0)  # masked_fill loses the layout


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
        # Of no image, whatever V is: the sides of a map must not be 0.
        counts = mask.flatten(1).sum(1) if len(mask) else mask.new_ones(
            1, dtype=torch.int64)
        if (counts != counts[0]).any():
            raise ValueError('mask must show the same number of patches of '
                             f'every image, but shows {counts.tolist()}')
        self.mask = mask
        self.count = int(counts[0])
        self._numbers: dict[tuple, torch.Tensor] = {}
        self._sources: dict[tuple, _Sources] = {}
        self._pairs: dict[tuple, list] = {}

    def pack(self, grid: torch.Tensor) -> torch.Tensor:
        """Take the visible patches out of maps.

        Args:
            grid (Tensor): (N, C, h * t, w * t).

        Returns:
            Tensor: (N, C, V * t, t), in channels-last layout.

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
            to_rows(grid), self._grid_slots(side), self._grid(side))
        return from_rows(rows, n, self.count * side, side)

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """Put visible patches back into maps, the inverse of :meth:`pack`.

        Args:
            packed (Tensor): (N, C, V * t, t).

        Returns:
            Tensor: (N, C, h * t, w * t), with zeros at masked positions.
        """
        side = packed.shape[-1]
        rows = _Take.apply(
            to_rows(packed), self._grid(side), self._grid_slots(side))
        n, h, w = self.mask.shape
        return from_rows(rows, n, h * side, w * side)

    def pairs(self,
              side: int,
              size: int,
              stride: int = 1,
              within: bool = True) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Which visible positions a convolution joins.

        Args:
            side (int): t, positions along a side of a patch in its input.
            size (int): Side of its kernel, odd; the input is padded by
                ``size // 2``.
            stride (int): A divisor of ``side``. Defaults to 1.
            within (bool): Join positions of the same patch too, not only of
                different ones. Defaults to True.

        Returns:
            list[tuple[Tensor]]: For each element of the kernel, row by row,
            rows of the packed output, in which none comes twice, and as many
            of the packed input, which they read through this element.

        Example:
            >>> patches = VisiblePatches(torch.tensor([[[True, True]]]))
            >>> for outputs, inputs in patches.pairs(1, 3)[3:6]:
            ...     print(outputs.tolist(), inputs.tolist())
            [1] [0]
            [0, 1] [0, 1]
            [0] [1]
        """
        key = (side, size, stride, within)
        if key not in self._pairs:
            outputs = self._rows(side // stride)
            inputs = F.pad(self._rows(side), [size // 2] * 4, value=-1)
            inputs = inputs.unfold(1, size, stride).unfold(2, size, stride)
            inputs = inputs.flatten(3).permute(3, 0, 1, 2)
            joined = (inputs >= 0) & (outputs >= 0)
            if not within:
                patch = inputs.div(side**2, rounding_mode='floor')
                joined &= patch != outputs.div(
                    (side // stride)**2, rounding_mode='floor')
            numbers = joined.flatten(1).sum(1).tolist()
            self._pairs[key] = list(
                zip(
                    outputs.expand_as(inputs)[joined].split(numbers),
                    inputs[joined].split(numbers)))
        return self._pairs[key]

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
