"""Finds code that reads the weights of a synapse past its neuron."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache

from torch import nn

#: Parameters that are weights.
_WEIGHTS = ('weight', 'in_proj_weight')

#: Methods that set weights, or only describe them.
_HARMLESS = ('__', 'init', '_init', 'reset', '_reset', '_load_from',
             '_save_to', 'extra_repr')

#: What tells no weights: ``conv.weight.device``.
_FACTS = ('device', 'dtype', 'shape', 'size', 'dim', 'ndim', 'numel',
          'requires_grad', 'is_cuda', 'new_zeros', 'new_ones', 'new_full',
          'new_empty', 'new_tensor')


def weights_read(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Where methods of a module read weights of layers inside of it.

    What they compute with them passes the neuron in front of that layer.
    Found are reads that stand in the source as a path from ``self``, such as
    ``self.reduction.conv.weight``.

    Args:
        module (nn.Module): The module.

    Yields:
        tuple[str, str]: Name of the method, and path of the layer within
        ``module``.

    Example:
        >>> import torch
        >>> class Gate(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc = nn.Linear(2, 2)
        ...     def forward(self, x):
        ...         x = x.to(self.fc.weight.dtype)  # no weights are read here
        ...         return self.fc(x) * self.fc.weight.sum()
        >>> list(weights_read(Gate()))
        [('forward', 'fc')]
    """
    for method, path in _reads(type(module)):
        try:
            layer = module.get_submodule('.'.join(path))
        except AttributeError:
            continue
        if layer is not module:
            yield method, '.'.join(path)


@cache
def _reads(kind: type) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each method of a class, and the paths whose weights it reads."""
    found = []
    for name, function in inspect.getmembers(kind, inspect.isfunction):
        function = inspect.unwrap(function)
        if name.startswith(_HARMLESS) or function.__module__.startswith(
            ('torch.', 'mmengine.')) or not set(
                function.__code__.co_names).intersection(_WEIGHTS):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, SyntaxError):  # no source to read
            continue
        facts = {
            node.value for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in _FACTS
        }
        for node in ast.walk(tree):
            if (isinstance(node, ast.Attribute) and node.attr in _WEIGHTS
                    and isinstance(node.ctx, ast.Load) and node not in facts):
                path = _path(node.value)
                if path:
                    found.append((name, path))
    return tuple(found)


def _path(node: ast.AST) -> tuple[str, ...]:
    """``self.a.b[0]`` as ('a', 'b', '0'); empty if it is no such path."""
    if isinstance(node, ast.Name):
        return ()
    if isinstance(node, ast.Attribute):
        name, inner = node.attr, node.value
    elif isinstance(node, ast.Subscript) and isinstance(
            node.slice, ast.Constant):
        name, inner = str(node.slice.value), node.value
    else:
        return ()
    if isinstance(inner, ast.Name):
        return (name, ) if inner.id == 'self' else ()
    path = _path(inner)
    return (*path, name) if path else ()
