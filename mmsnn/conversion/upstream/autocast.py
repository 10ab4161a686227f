"""Autocast, which rounds what a model computes to 16 bits."""

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .double import precision


def autocast_type(model: nn.Module) -> torch.dtype | None:
    """The type to which autocast rounds what a model computes now.

    Args:
        model (nn.Module): The model; its first parameter tells the device.

    Returns:
        torch.dtype | None: None if autocast is off, or leaves the model as it
        is: it never rounds float64.

    Example:
        >>> with torch.autocast('cpu', torch.bfloat16):
        ...     autocast_type(nn.Linear(1, 1)), autocast_type(
        ...         nn.Linear(1, 1).double())
        (torch.bfloat16, None)
    """
    device = _device(model)
    if not device or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def _device(model: nn.Module) -> str:
    """Type of the device whose autocast may round; empty if none does."""
    if precision(model) == torch.float64:
        return ''
    return next(model.parameters(), torch.empty(0)).device.type


class AutocastWatch(TorchFunctionMode):
    """Sees where a model uses autocast itself.

    Args:
        model (nn.Module): The model.

    Attributes:
        found (torch.dtype | None): The type to which it rounded latest.

    Example:
        >>> with AutocastWatch(nn.Linear(1, 1)) as watch:
        ...     with torch.autocast('cpu', torch.bfloat16):
        ...         _ = torch.ones(1) + 1
        >>> watch.found
        torch.bfloat16
    """

    #: Neurons may run as kernels: none of their operations matter here.
    allows_kernels = True

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._device = _device(model)
        self.found: torch.dtype | None = None

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if self._device and torch.is_autocast_enabled(self._device):
            self.found = torch.get_autocast_dtype(self._device)
        return func(*args, **(kwargs or {}))
