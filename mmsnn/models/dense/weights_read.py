"""Finds code that reads the weights of a synapse past its neuron."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from types import CodeType

from torch import nn

#: In a path: any child.
_ANY = '*'

#: Parameters that are weights.
_WEIGHTS = ('weight', 'in_proj_weight')

#: In the names of methods that set weights, rewrite or describe them.
_HARMLESS = re.compile('^__|init|reset|^_load_from|^_save_to|^extra_repr$|'
                       'fuse|deploy|merge_kernel|local_inject')

#: What tells no weights: ``conv.weight.device``.
_FACTS = ('device', 'dtype', 'shape', 'size', 'dim', 'ndim', 'numel',
          'requires_grad', 'is_cuda', 'new_zeros', 'new_ones', 'new_full',
          'new_empty', 'new_tensor')


def weights_read(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Where methods of a module read weights of layers inside of it.

    What they compute with them passes the neuron in front of that layer.
    Found are reads that stand in the source as a path from ``self``, such as
    ``self.reduction.conv.weight``, or from a local name for such a path, also
    in a loop: ``for conv in self.convs``.

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
        for found in _resolve(module, path):
            yield method, '.'.join(found)


def _resolve(module: nn.Module,
             path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of modules that a path with :data:`_ANY` stands for."""
    if not path:
        yield ()
        return
    names = module._modules if path[0] == _ANY else path[:1]
    for name in names:
        child = module._modules.get(name)
        if child is not None:
            for rest in _resolve(child, path[1:]):
                yield (name, *rest)


@cache
def _reads(kind: type) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each method of a class, and the paths whose weights it reads."""
    found = []
    for name, function in inspect.getmembers(kind, inspect.isfunction):
        function = inspect.unwrap(function)
        if _HARMLESS.search(name) or function.__module__.startswith(
            ('torch.', 'mmengine.')) or not _names_weights(function.__code__):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, SyntaxError):  # no source to read
            continue
        names = _local_names(tree)
        facts = {
            node.value for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in _FACTS
        }
        for node in ast.walk(tree):
            if (isinstance(node, ast.Attribute) and node.attr in _WEIGHTS
                    and isinstance(node.ctx, ast.Load) and node not in facts):
                path = _path(node.value, names)
                if path:
                    found.append((name, path))
    return tuple(found)


def _names_weights(code: CodeType) -> bool:
    """Whether a function, or one inside of it, names weights at all."""
    return bool(set(code.co_names).intersection(_WEIGHTS)) or any(
        _names_weights(c) for c in code.co_consts if isinstance(c, CodeType))


def _local_names(tree: ast.AST) -> dict[str, tuple[str, ...]]:
    """Names that stand for a path from ``self`` in a function."""
    names: dict[str, tuple[str, ...]] = {'self': ()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            _bind(names, node.targets[0], _path(node.value, names))
        elif isinstance(node, (ast.For, ast.comprehension)):
            _bind_items(names, node.target, node.iter)
    return names


def _bind(names: dict, target: ast.AST, path: tuple[str, ...] | None) -> None:
    if isinstance(target, ast.Name) and path:
        names[target.id] = path


def _bind_items(names: dict, target: ast.AST, items: ast.AST) -> None:
    """Bind the target of a loop over modules, also by ``enumerate``, ``zip``,
    ``items`` and the like."""
    if isinstance(items, ast.Call):
        name = getattr(items.func, 'id', getattr(items.func, 'attr', ''))
        sides = target.elts if isinstance(target, ast.Tuple) else []
        if name == 'enumerate' and len(sides) == 2 and items.args:
            _bind_items(names, sides[1], items.args[0])
        elif name == 'zip':
            for side, argument in zip(sides, items.args):
                _bind_items(names, side, argument)
        elif name in ('values', 'children'):
            _bind_items(names, target, items.func.value)
        elif name in ('items', 'named_children') and len(sides) == 2:
            _bind_items(names, sides[1], items.func.value)
        return
    path = _path(items, names)
    _bind(names, target, None if path is None else (*path, _ANY))


def _path(node: ast.AST, names: dict) -> tuple[str, ...] | None:
    """``self.a.b[0]`` as ('a', 'b', '0'), with :data:`_ANY` for an index that
    is no constant; None if it is no such path."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        path, name = _path(node.value, names), node.attr
    elif isinstance(node, ast.Subscript):
        path, name = _path(node.value, names), _ANY
        if isinstance(node.slice, ast.Constant):
            name = str(node.slice.value)
    else:
        return None
    return None if path is None else (*path, name)
