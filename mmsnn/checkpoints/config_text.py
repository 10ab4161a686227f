"""The text of a config that came in a checkpoint is data, too.

mmengine keeps ``cfg.pretty_text`` in a checkpoint, and runs it as Python
where it wants a config back. Such a text is assignments of literals and
``dict(...)``, so that it can be read without running it.
"""

import ast
import importlib.util
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from .reading import came_in_checkpoint
from .trust import CheckpointRefused, trusted

_NUMBERS = dict(inf=float('inf'), nan=float('nan'))
#: Packages whose registered classes a config out of a checkpoint may name.
_PACKAGES = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'mmsnn')
#: Registered, but build whatever else their arguments name.
_OPEN_ENDED = ('VPD', 'UNetWrapper')
#: What upstream looks up as an expression.
_EVALUATED = ('type', 'dtype', 'warp_mode')
#: Names of files, or of formats, whose reading runs what is in them.
_RUN = ('pkl', 'pickle', 'yaml', 'yml')
_NAME = re.compile(r'[\w./:-]*')
_WHERE = "the config's text in the checkpoint"
#: What an inferencer does not build.
_OF_TRAINING = ('optim_wrapper', 'param_scheduler', 'train_dataloader',
                'custom_hooks', 'default_hooks', 'runner_type')
_only_read: ContextVar[bool] = ContextVar('only_read', default=False)


@contextmanager
def only_read() -> Iterator[None]:
    """Say that nothing is built from configs read in the block."""
    token = _only_read.set(True)
    try:
        yield
    finally:
        _only_read.reset(token)


def literal(node: ast.AST) -> Any:
    """The value of an expression of literals and ``dict(...)``.

    Args:
        node (ast.AST): The expression.

    Returns:
        Any: Its value.

    Raises:
        ValueError: It is something else.

    Example:
        >>> literal(ast.parse("dict(a=[-1, 'b'])", mode='eval').body)
        {'a': [-1, 'b']}
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in _NUMBERS:
            return _NUMBERS[name]
        case ast.List(elts=items):
            return [literal(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(literal(item) for item in items)
        case ast.Set(elts=items):
            return {literal(item) for item in items}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {
                literal(key): literal(value)
                for key, value in zip(keys, values, strict=True)
            }
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=items) if (
                all(item.arg for item in items)):
            return {item.arg: literal(item.value) for item in items}
        case ast.Call(
                func=ast.Name(id='dict'), args=[ast.Dict() as inner],
                keywords=[]):
            return literal(inner)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
            value = literal(inner)
            if isinstance(value, (int, float, complex)):
                return -value if isinstance(sign, ast.USub) else value
    code = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ''
    raise ValueError(code.partition('\n')[0][:80])


def read_text(text: str) -> dict[str, Any]:
    """Read the text of a config without running it.

    Args:
        text (str): As ``Config.pretty_text`` writes it.

    Returns:
        dict[str, Any]: Its values by name.

    Raises:
        CheckpointRefused: It holds code.

    Example:
        >>> read_text("model = dict(type='Net', depth=2)")
        {'model': {'type': 'Net', 'depth': 2}}
    """
    values: dict[str, Any] = {}
    try:
        for statement in ast.parse(text).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = literal(value)
                case ast.Expr(value=ast.Constant()) | ast.Pass():
                    pass
                case _:
                    literal(statement)
    except (SyntaxError, ValueError, TypeError) as error:
        raise CheckpointRefused(
            _WHERE, f'code, {str(error)[:120]!r}') from error
    except (RecursionError, MemoryError) as error:
        raise CheckpointRefused(
            _WHERE, 'expressions too deep inside each other') from error
    if '_base_' in values:
        raise CheckpointRefused(_WHERE, '_base_, which is run')
    return values


def config_of_text(text: str) -> dict[str, Any]:
    """Read the text of a config, for an inferencer to build from it.

    Args:
        text (str): The text.

    Returns:
        dict[str, Any]: Its values by name, without what only training builds.

    Raises:
        CheckpointRefused: It holds code, or names something to call or to
            import that no package of OpenMMLab's registers.
    """
    values = read_text(text)
    if _only_read.get():
        return values
    imports = values.get('custom_imports') or {}
    named = imports.get('imports') if isinstance(imports, dict) else imports
    for name in [named] if isinstance(named, str) else named or []:
        if str(name).partition('.')[0] not in _PACKAGES:
            raise CheckpointRefused(
                _WHERE, f'custom_imports of {name!r}, give the config itself')
        import_module(name)
    kept = {k: v for k, v in values.items() if k not in _OF_TRAINING}
    for key, value in kept.items():
        # Inferencers build pipelines, but no data sets and evaluators.
        _check({key: value},
               not str(key).endswith(('_dataloader', '_evaluator')))
    return kept


def _check(value: Any, built: bool = True) -> None:
    """Refuse what would have something foreign called, or, where it is
    built, a file read that could."""
    if isinstance(value, str):
        if built and value.rpartition('.')[2] in _RUN:
            raise CheckpointRefused(
                _WHERE, f'{value[-80:]!r}, a file that could run code')
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            _check(item, built)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ('_scope_', 'default_scope') and item and (
                    item not in _PACKAGES):
                raise CheckpointRefused(
                    _WHERE, f'{key} = {str(item)[:80]!r}, which is imported')
            if key == 'trust_remote_code' and item:
                raise CheckpointRefused(_WHERE, 'trust_remote_code')
            if isinstance(item, str) and key in _EVALUATED and (
                    not _NAME.fullmatch(item)):
                raise CheckpointRefused(_WHERE, f'{key} = {item[:80]!r}')
            if isinstance(item, str) and key == 'type' and (
                    not _may_be_built(item)):
                raise CheckpointRefused(
                    _WHERE, f'type = {item[:80]!r}, which mmengine, mmcv, '
                    'mmdet, mmseg, mmpretrain and mmsnn do not register '
                    '(the config itself may be given, too)')
            _check(item, built or key == 'pipeline')


def _registries(scope: str | None) -> list[Any]:
    """Registries of a scope, or all, of which the contents are imported."""
    from mmengine import registry
    if scope:
        import_module(f'{scope}.registry')
    found = [r for r in vars(registry).values()
             if isinstance(r, registry.Registry)]
    for node in found:
        found += node.children.values()
    found = [r for r in found if scope is None or r.scope == scope]
    for node in found:
        node.import_from_location()
    return found


def _may_be_built(name: str) -> bool:
    """Tell whether a type is registered by a known package, or nothing that
    could be called."""
    first, _, rest = name.partition('.')
    if not rest:
        found = [r.module_dict[name] for r in _registries(None)
                 if name in r.module_dict]
        if not found:  # such as the kind of an NMS
            return name.isidentifier() and (
                importlib.util.find_spec(name) is None)
    elif first not in _PACKAGES:
        return False
    else:
        nodes = _registries(first)
        found = [r.module_dict[rest] for r in nodes if rest in r.module_dict]
        if not found:  # the path of a class
            module, _, short = name.rpartition('.')
            try:
                named = getattr(import_module(module), short, None)
            except ImportError:
                return False
            found = [named] if any(
                named in r.module_dict.values() for r in _registries(None)
            ) else []
    return bool(found) and all(map(_is_known, found))


def _is_known(registered: Any) -> bool:
    """Tell whether what is registered comes from a known package."""
    if not inspect.isclass(registered) and not inspect.isfunction(registered):
        return False
    package = registered.__module__.partition('.')[0]
    return (package in (*_PACKAGES, 'torch', 'torchvision')
            and registered.__name__ not in _OPEN_ENDED)


def install(config_class: type) -> None:
    """Let ``Config.fromstring`` run no text that came in a checkpoint.

    Args:
        config_class (type): mmengine's Config.
    """
    upstream = config_class.fromstring

    def fromstring(cfg_str: str, file_format: str) -> Any:
        if trusted() or not came_in_checkpoint(cfg_str):
            return upstream(cfg_str, file_format)
        if file_format != '.py':
            raise CheckpointRefused(
                _WHERE, f'a config in the format {file_format}')
        return config_class(config_of_text(cfg_str))

    config_class.fromstring = staticmethod(fromstring)
