"""Puts patches together to images."""

import torch


def unpatchify(rows: torch.Tensor, grid: tuple[int, int],
               side: int) -> torch.Tensor:
    """The inverse of ``SparKPretrainHead.patchify``.

    Args:
        rows (Tensor): (N, h * w, side * side * C): pixels of each patch, row
            by row, channels last.
        grid (tuple[int, int]): h and w.
        side (int): Pixels along a side of a patch.

    Returns:
        Tensor: (N, C, h * side, w * side).

    Example:
        >>> unpatchify(torch.arange(8.).view(1, 2, 4), (1, 2), 2)
        tensor([[[[0., 1., 4., 5.],
                  [2., 3., 6., 7.]]]])
    """
    height, width = grid
    channels = rows.shape[-1] // (side * side)
    x = rows.reshape(len(rows), height, width, side, side, channels)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(
        len(rows), channels, height * side, width * side)
