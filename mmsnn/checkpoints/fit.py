"""Whether the weights of a checkpoint fit a model, said in a sentence."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmsnn.suggest import did_you_mean

from .config_text import read_text
from .reading import Origin, origin_of
from .trust import CheckpointError

_SHAPE = r'(?:torch\.Size\()?\[?([\d, ]*)\]?\)?'
_SIZE = re.compile(rf'size mismatch for (\S+): copying a param with shape '
                   rf'{_SHAPE} from checkpoint, the shape in current model '
                   rf'is {_SHAPE}')
_SHOWN = 3
_config: ContextVar[Any] = ContextVar('config', default=None)
_whole: ContextVar[bool] = ContextVar('whole', default=False)


@contextmanager
def model_of(config: Any = None, whole: bool | None = None) -> Iterator[None]:
    """Say what is known of the model that weights are loaded into.

    Args:
        config (Config, optional): The config that it was built from.
        whole (bool, optional): Whether weights of another shape are an error
            and not a warning, as where the model is not trained afterwards.
    """
    tokens = [(variable, variable.set(value))
              for variable, value in ((_config, config), (_whole, whole))
              if value is not None]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def _unwrapped(module: nn.Module) -> nn.Module:
    while is_model_wrapper(module) or isinstance(module, BaseTTAModel):
        module = module.module
    return module


def _names(module: nn.Module) -> list[str]:
    """Names of the weights that a model keeps in its state."""
    names = []
    for prefix, part in module.named_modules(remove_duplicate=False):
        local = [k for k, v in part._parameters.items() if v is not None]
        local += [k for k, v in part._buffers.items() if v is not None
                  and k not in part._non_persistent_buffers_set]
        names += [f'{prefix}.{name}' if prefix else name for name in local]
    return [name for name in names if not name.endswith('num_batches_tracked')]


def _first(names: list[str]) -> str:
    """The first of some names, for a message."""
    more = ', ...' if len(names) > _SHOWN else ''
    return ', '.join(map(str, names[:_SHOWN])) + more


def _flat(value: Any, path: str) -> dict[str, Any]:
    """Leaves of a config by their path."""
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, (list, tuple)) and any(
            isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        return {path: list(value) if isinstance(value, tuple) else value}
    return {
        k: v
        for key, inner in items
        for k, v in _flat(inner, f'{path}.{key}' if path else str(key)).items()
    }


def differing_keys(then: dict[str, Any], now: dict[str, Any],
                   weights: list[str]) -> list[str]:
    """Config keys that explain why weights have another shape.

    Args:
        then (dict): The config of the model that the weights are from.
        now (dict): The config of the present model.
        weights (list[str]): Names of the weights of another shape.

    Returns:
        list[str]: ``KEY is A in the checkpoint and B here`` for each key that
        differs in the parts of the model with these weights; if there is
        none, for each of the whole model.

    Example:
        >>> differing_keys(
        ...     dict(type='Net', backbone=dict(depth=2), head=dict(classes=3)),
        ...     dict(type='Net', backbone=dict(depth=4), head=dict(classes=5)),
        ...     ['head.fc.weight'])
        ['model.head.classes is 3 in the checkpoint and 5 here']
    """
    missing = 'not given'
    before, after = _flat(then, ''), _flat(now, '')
    differing = [key for key in {**after, **before}
                 if before.get(key, missing) != after.get(key, missing)
                 and not {'init_cfg', 'pretrained'} & set(key.split('.'))]
    parts = {name.partition('.')[0] for name in weights}
    near = [key for key in differing if key.partition('.')[0] in parts]
    return [
        f'model.{key} is {before.get(key, missing)!r} in the checkpoint and '
        f'{after.get(key, missing)!r} here' for key in near or differing
    ]


def _why(origin: Origin, weights: list[str]) -> str:
    """Config keys that explain other shapes, as the end of a sentence."""
    config = _config.get()
    if origin.config is None or config is None:
        return ''
    try:
        then = read_text(origin.config).get('model')
    except CheckpointError:
        return ''
    now = config.get('model')
    now = now.to_dict() if hasattr(now, 'to_dict') else now
    if not isinstance(then, dict) or not isinstance(now, dict):
        return ''
    keys = differing_keys(then, now, weights)
    return f'; config keys that differ: {", ".join(keys[:_SHOWN + 1])}' * bool(
        keys)


class _Heard(logging.Handler):
    """Keeps what upstream says of weights that do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ''
        self.logger = logging.Logger('mmsnn.checkpoints')
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage()


def _shape(numbers: str) -> str:
    return f'({numbers})' if numbers else '()'


def checked(upstream: Callable) -> Callable:
    """mmengine's ``load_state_dict``, saying how far the weights fit.

    Args:
        upstream (Callable): The function.

    Returns:
        Callable: One with the same arguments. None of the weights fits, or
        one has another shape where the model is used as it is: a
        CheckpointError, as if one is no tensor. Others are missing or left
        over: a warning, or a CheckpointError if ``strict``.
    """

    def load_state_dict(module: nn.Module, state_dict: dict[str, Any],
                        strict: bool = False, logger: Any = None) -> None:
        root, found, heard = _unwrapped(module), [], _Heard()
        handle = root.register_load_state_dict_post_hook(
            lambda _, keys: found.append(keys))
        try:
            upstream(module, state_dict, False, heard.logger)
        finally:
            handle.remove()
        missing = [name for keys in found for name in keys.missing_keys
                   if 'num_batches_tracked' not in name]
        unexpected = [name for keys in found for name in keys.unexpected_keys]
        sizes = [(name, _shape(then), _shape(now))
                 for name, then, now in _SIZE.findall(heard.text)]
        others = [
            line.strip() for line in heard.text.splitlines() if line.strip()
            and not line.startswith(('The model and loaded', 'unexpected key',
                                     'missing keys', 'size mismatch'))]
        if not (missing or unexpected or sizes or others):
            return
        origin, own = origin_of(state_dict), _names(root)
        given = [k for k in state_dict if 'num_batches_tracked' not in str(k)]
        described = getattr(_config.get(), 'filename', None)
        model = type(root).__name__ + (f' ({described})' if described else '')
        other_shape = [name for name, *_ in sizes]
        if any(line.startswith('While copying') for line in others):
            raise CheckpointError(
                f'{origin.file}: weights of {model} can not be copied from '
                f'it: {others[0]}')
        fit = set(own) - set(missing) - set(other_shape)
        if own and not fit and not sizes:
            raise CheckpointError(
                f'{origin.file}: none of its {len(given)} entries fits the '
                f'{len(own)} weights of {model}: it has '
                f'{_first(given) or "none"}, the model {_first(own)}')
        said = []
        if sizes:
            said.append(
                f'{len(sizes)} of the {len(own)} weights of {model} have '
                'another shape: '
                + ', '.join(f'{name} is {then} in it and {now} here'
                            for name, then, now in sizes[:_SHOWN])
                + ', ...' * (len(sizes) > _SHOWN)
                + _why(origin, other_shape))
        if missing:
            near = did_you_mean(missing[0], map(str, unexpected))
            said.append(f'{len(missing)} of the {len(own)} weights of {model} '
                        f'are not in it: {_first(missing)}{near}')
        if unexpected:
            said.append(f'{len(unexpected)} of its {len(given)} are not in '
                        f'{model}: {_first(unexpected)}')
        said += others[:1]
        text = f'{origin.file}: {"; ".join(said)}'
        if strict or (sizes and (_whole.get() or own and not fit)):
            raise CheckpointError(text)
        print_log(text, logger=logger or 'current', level=logging.WARNING)

    return load_state_dict
