"""How maps lie in memory."""

from collections.abc import Callable

import torch


def is_channels_last(x: torch.Tensor) -> bool:
    """Whether a tensor is a map in channels-last layout only.

    Args:
        x (Tensor): Any tensor.

    Returns:
        bool: Not where the two layouts are one, as with one channel.

    Example:
        >>> x = torch.zeros(2, 3, 4, 5)
        >>> is_channels_last(x)
        False
        >>> is_channels_last(x.to(memory_format=torch.channels_last))
        True
    """
    return (x.dim() == 4 and not x.is_contiguous()
            and x.is_contiguous(memory_format=torch.channels_last))


def to_channels_last(x: torch.Tensor) -> torch.Tensor:
    """Put maps into channels-last layout.

    With one channel both layouts are one, and a convolution takes the strides
    of the channel's axis for which of them is meant.

    Args:
        x (Tensor): (N, C, H, W).

    Returns:
        Tensor: The same, copied where it has another layout.

    Example:
        >>> to_channels_last(torch.zeros(2, 1, 4, 5)).stride()
        (20, 1, 5, 1)
    """
    x = x.contiguous(memory_format=torch.channels_last)
    if x.shape[1] == 1:
        return x.contiguous().squeeze(1).unsqueeze(3).permute(0, 3, 1, 2)
    return x


def in_layout(change: Callable[[torch.Tensor], torch.Tensor],
              x: torch.Tensor) -> torch.Tensor:
    """Change the first axis of a tensor, in the layout that it has.

    PyTorch's functions that add or drop an axis lose the channels-last
    layout.

    Args:
        change (Callable): Maps (N, ...) to (N', ...).
        x (Tensor): (N, ...).

    Returns:
        Tensor: (N', ...), channels-last where ``x`` is.

    Example:
        >>> x = torch.zeros(1, 3, 4, 5).to(memory_format=torch.channels_last)
        >>> y = in_layout(lambda x: x.repeat_interleave(2, 0), x)
        >>> y.shape, is_channels_last(y)
        (torch.Size([2, 3, 4, 5]), True)
    """
    if is_channels_last(x):
        return change(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return change(x)
