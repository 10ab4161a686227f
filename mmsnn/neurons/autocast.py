"""What autocast does on the device of a tensor, if anything."""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast_type(device: torch.device) -> torch.dtype | None:
    """The type to which autocast rounds on a device now.

    Args:
        device (torch.device): The device.

    Returns:
        torch.dtype | None: None if it is off, as it is on ``meta``.

    Example:
        >>> cpu = torch.device('cpu')
        >>> with torch.autocast('cpu', torch.bfloat16):
        ...     autocast_type(cpu), autocast_type(torch.device('meta'))
        (torch.bfloat16, None)
        >>> autocast_type(cpu) is None
        True
    """
    if _is_known(device) and torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return None


def without_autocast(device: torch.device) -> AbstractContextManager:
    """A context in which autocast rounds nothing on a device.

    Args:
        device (torch.device): The device.

    Returns:
        AbstractContextManager: The context.

    Example:
        >>> x = torch.ones(1, 1)
        >>> with torch.autocast('cpu', torch.bfloat16):
        ...     with without_autocast(x.device):
        ...         (x @ x).dtype
        torch.float32
    """
    if _is_known(device):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def _is_known(device: torch.device) -> bool:
    """Whether autocast can be asked about; ``torch.compile`` can not follow
    ``torch.amp.is_autocast_available``."""
    return device.type != 'meta'
