"""Copies of models that keep tensors of their last training step."""

import copy

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class _Detaching(TorchFunctionMode):
    """While it is entered, tensors with a history are copied without it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not torch.Tensor.__deepcopy__ or args[0].is_leaf:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        if id(tensor) not in memo:
            memo[id(tensor)] = func(tensor.detach(), memo)
        return memo[id(tensor)]


def detached_copy(model: nn.Module) -> nn.Module:
    """A deep copy of a model, whatever its modules remember.

    ``copy.deepcopy`` refuses tensors that are part of a graph. Heads such as
    CondInst's keep some from one call to the next, and so does a spectral
    norm.

    Args:
        model (nn.Module): The model; left as it is.

    Returns:
        nn.Module: The copy. Parameters still take gradients; any other tensor
        that was computed from parameters is a plain one.

    Example:
        >>> net = nn.Linear(2, 2)
        >>> net.last = net(torch.ones(2))
        >>> detached_copy(net).last.requires_grad
        False
    """
    with _Detaching():
        return copy.deepcopy(model)
