"""Values of a config that can not be: the message names their key."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry.build_functions import build_from_cfg
from mmengine.runner import Runner

from mmsnn.suggest import did_you_mean

from .value_rules import VALUES, WHOLE, is_number

#: Top-level keys that are read although Runner does not take them.
_READ_BY_OTHERS = ('compile', 'find_unused_parameters', 'runner_type',
                   'sync_bn', 'tta_model', 'tta_pipeline', 'model_wrapper_cfg')
#: Words that are as good as the number, or True or False, under a key.
_WORDS = dict(bias='auto', loss_scale='dynamic', padding='same')


def check_options(cfg: Config, options: dict | None) -> None:
    """Check ``--cfg-options`` against what the config has in their places.

    Args:
        cfg (Config): The config, before they are merged.
        options (dict, optional): By dotted key.

    Raises:
        ValueError: A word is given for a number, or anything else for True or
            False; or the config has no such key at its top, but a similar
            one, so that it would be read by nobody; or a key has two dots
            side by side, or one at an end.

    Example:
        >>> check_options(Config(dict(warmup=dict(iters=5))),
        ...               {'warmup.iters': 'many'})
        Traceback (most recent call last):
        ValueError: --cfg-options warmup.iters=many: the config has 5 there,
        which must be a number
    """
    known = {*cfg.keys(), *_READ_BY_OTHERS,
             *inspect.signature(Runner).parameters}
    for key, value in (options or {}).items():
        if not all(key.split('.')):
            raise ValueError(f'--cfg-options {key}={value}: a name is missing '
                             'beside a dot')
        top = key.partition('.')[0]
        near = did_you_mean(top, known) if top not in known else ''
        if near:
            raise ValueError(f'--cfg-options {key}={value}: the config has no '
                             f'key {top}{near}')
        for path, old in _places(cfg, key):
            wanted = _wanted(old, value)
            if wanted and value != _WORDS.get(path.rpartition('.')[2]):
                raise ValueError(
                    f'--cfg-options {path}={value}: the config has {old!r} '
                    f'there, which must be {wanted}')


def _wanted(old: Any, new: Any) -> str:
    """What a value must be in the place of another; nothing if it is."""
    if new is None or isinstance(new, dict):
        return ''
    if isinstance(old, bool):
        return '' if isinstance(new, bool) else 'True or False'
    if not isinstance(new, str):
        return ''
    if is_number(old):
        return 'a number'
    if isinstance(old, (list, tuple)) and old and all(map(is_number, old)):
        return 'a list of numbers'
    return ''


def check_values(cfg: Config) -> None:
    """Check values that are numbers for the Runner, wherever they come from.

    A whole number that is written as 1e5 is taken for the integer.

    Args:
        cfg (Config): The config, in which those are replaced.

    Raises:
        ValueError: One can not be; the message names its key.

    Example:
        >>> cfg = Config(dict(train_cfg=dict(max_iters=1e5)))
        >>> check_values(cfg)
        >>> cfg.train_cfg.max_iters
        100000
        >>> check_values(Config(dict(val_dataloader=dict(batch_size=0))))
        Traceback (most recent call last):
        ValueError: val_dataloader.batch_size must be a positive integer, but
        is 0
    """
    for pattern, (wanted, valid) in VALUES.items():
        for path, value in _places(cfg, pattern):
            if value is None:
                continue
            if not valid(value):
                raise ValueError(f'{path} must be {wanted}, but is {value!r}')
            if isinstance(value, float) and any(
                    valid is whole for _, whole in WHOLE):
                holder, _, key = path.rpartition('.')
                (_, place), = _places(cfg, holder)
                place[key] = int(value)


def _places(part: Any, pattern: str, path: str = '') -> Iterator[tuple]:
    """Paths and values of what stands in a config under a dotted key."""
    if not pattern:
        yield path[1:], part
        return
    key, _, rest = pattern.partition('.')
    part = part._cfg_dict if isinstance(part, Config) else part
    if isinstance(part, dict):
        found = list(part.items())
    elif isinstance(part, (list, tuple)):
        found = [(str(i), x) for i, x in enumerate(part)]
    else:
        return
    for name, value in found:
        if name == key or key == '*' or key[0] == '*' and str(name).endswith(
                key[1:]):
            yield from _places(value, rest, f'{path}.{name}')


def check_work_dir(work_dir: str) -> None:
    """Check that files can be written into a folder that may not be there.

    Args:
        work_dir (str): The folder.

    Raises:
        NotADirectoryError: It, or one that it lies in, is a file.
        PermissionError: Nothing can be written there.

    Example:
        >>> check_work_dir(os.devnull)
        Traceback (most recent call last):
        NotADirectoryError: work_dir = /dev/null: /dev/null is a file; give a
        folder, by --work-dir or in the config
    """
    there = Path(work_dir).absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(
            f'work_dir = {work_dir}: {there} is a file; give a folder, by '
            '--work-dir or in the config')
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(
            f'work_dir = {work_dir}: nothing can be written into {there}; '
            'give another folder, by --work-dir or in the config')


@contextmanager
def naming_keys_of(cfg: Config, options: dict | None = None) -> Iterator[None]:
    """Let an error of what is built from a part of a config name its key.

    Args:
        cfg (Config): The config.
        options (dict, optional): ``--cfg-options``; those below the key are
            named, too.

    Raises:
        ValueError: In the place of an error inside the block, if it comes
            from an object that a registry builds from a part of ``cfg``.

    Example:
        >>> from mmengine.registry import OPTIMIZERS
        >>> cfg = Config(dict(optimizer=dict(type='SGD', params=[], lr='a')))
        >>> with naming_keys_of(cfg, {'optimizer.lr': 'a'}):
        ...     OPTIMIZERS.build(cfg.optimizer)
        Traceback (most recent call last):
        ValueError: optimizer (SGD; --cfg-options optimizer.lr=a): '<' not
        supported between instances of 'str' and 'float'
    """
    try:
        yield
    except Exception as error:
        found = [
            x for part in _built(error) for x in [_place_of(cfg, part)] if x
        ]
        if not found:
            raise
        path, part = found[-1]
        given = ' '.join(f'{k}={v}' for k, v in (options or {}).items()
                         if k.startswith(f'{path}.') or k == path)
        given = f'; --cfg-options {given}' if given else ''
        kind = part['type']
        kind = kind if isinstance(kind, str) else kind.__name__
        text = error.args[0] if isinstance(
            error, KeyError) and error.args else error
        text = str(text).strip() or type(error).__name__
        raise ValueError(f'{path} ({kind}{given}): {text}') from error


def _built(error: Exception) -> Iterator[dict]:
    """Configs of what was being built when an error came, from outside."""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code is build_from_cfg.__code__:
            yield frame.f_locals['cfg']
        trace = trace.tb_next


def _place_of(cfg: Config, part: dict) -> tuple[str, dict] | None:
    """Where a config has a part, from which upstream may have taken keys, and
    to which it may have added some: where most of them are the same, and
    none is another."""
    best: tuple[int, str, dict] | None = None
    for path, own in _parts(cfg._cfg_dict):
        both = [key for key in own if key in part]
        if 'type' in both and all(part[key] == own[key] for key in both) and (
                best is None or len(both) > best[0]):
            best = len(both), path, own
    return best[1:] if best else None


def _parts(part: Any, path: str = '') -> Iterator[tuple[str, dict]]:
    if isinstance(part, dict):
        if path and 'type' in part:
            yield path[1:], part
        for key, value in part.items():
            yield from _parts(value, f'{path}.{key}')
    elif isinstance(part, (list, tuple)):
        for i, value in enumerate(part):
            yield from _parts(value, f'{path}.{i}')
