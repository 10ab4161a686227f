"""Puts reading, fitting and saving in the place of mmengine's own."""

import os
import re
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.config import Config

from mmsnn.suggest import did_you_mean

from . import config_text
from .fit import checked, model_of
from .latest import find_latest_checkpoint
from .reading import asked_for, last_names, read_checkpoint
from .trust import CheckpointError, going_on_from

#: What an error names if it is missing.
_RUN_STATE = (('meta', ), ('epoch', ), ('iter', ), ('message_hub', ))


def load_url(url: str,
             model_dir: str | None = None,
             map_location: Any = None,
             progress: bool = True,
             check_hash: bool = False,
             file_name: str | None = None) -> Any:
    """Download a checkpoint, once, and read it.

    In the place of :func:`torch.hub.load_state_dict_from_url`, which would
    run what is in it.

    Args:
        url (str): Its address.
        model_dir (str, optional): Folder for it; by default PyTorch's.
        map_location (Any): As of :func:`torch.load`.
        progress (bool): Whether to show a progress bar.
        check_hash (bool): Whether the name ends with the first digits of the
            file's SHA-256, which is checked.
        file_name (str, optional): Name in the folder; by default that of the
            address.

    Returns:
        Any: What it holds.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints')
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (file_name or Path(urlparse(url).path).name)
    if not path.exists():
        digits = re.search(r'-([a-f0-9]*)\.', path.name)
        torch.hub.download_url_to_file(
            url, str(path), digits[1] if check_hash and digits else None,
            progress=progress)
    return read_checkpoint(path, map_location)


def _rebind(module: ModuleType, name: str, ours: Callable) -> None:
    """Replace a function where it is defined and where it was imported."""
    theirs = getattr(module, name)
    for user in list(sys.modules.values()):
        if getattr(user, '__dict__', {}).get(name) is theirs:
            setattr(user, name, ours)


def install_loading(checkpoint: ModuleType) -> None:
    """Let whatever loads a checkpoint through mmengine read data only.

    Args:
        checkpoint (ModuleType): ``mmengine.runner.checkpoint``.
    """
    if hasattr(checkpoint.load_state_dict, 'of_mmsnn'):
        return
    loader = checkpoint.CheckpointLoader
    load_any = loader.load_checkpoint.__func__
    load_weights = checkpoint._load_checkpoint
    with_prefix = checkpoint._load_checkpoint_with_prefix

    @wraps(load_any)
    def load_checkpoint(cls, filename: str, *args: Any, **kwargs: Any) -> Any:
        if os.path.isdir(filename):
            raise CheckpointError(
                f'{filename} is a folder: give a checkpoint file, or use the '
                'strategy that has saved a folder of parts')
        with asked_for(filename):
            return load_any(cls, str(filename), *args, **kwargs)

    @wraps(load_weights)
    def load(filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        state = found = load_weights(filename, *args, **kwargs)
        if isinstance(found, dict):
            state = found.get('state_dict', found)
        if not isinstance(state, dict) or not all(
                isinstance(name, str) for name in state):
            raise CheckpointError(
                f'{filename} holds a {type(state).__name__} and no weights by '
                'name')
        return found

    def read(file: Any, map_location: Any = None, weights_only=None) -> Any:
        return read_checkpoint(file, map_location)

    @wraps(with_prefix)
    def load_prefix(prefix: str, filename: str, map_location=None) -> dict:
        try:
            return with_prefix(prefix, filename, map_location)
        except AssertionError as error:
            starts = dict.fromkeys(
                name.partition('.')[0] + '.' for name in last_names())
            raise CheckpointError(
                f'{filename} has no weights under the prefix {prefix!r}'
                f'{did_you_mean(prefix, starts)}: its names start with '
                f'{", ".join([*starts][:8]) or "nothing"}') from error

    weights = checked(checkpoint.load_state_dict)
    weights.of_mmsnn = True
    loader.load_checkpoint = classmethod(load_checkpoint)
    for name, ours in dict(
            _safe_torch_load=read, load_url=load_url,
            _load_checkpoint=load, load_state_dict=weights,
            _load_checkpoint_with_prefix=load_prefix,
            find_latest_checkpoint=find_latest_checkpoint).items():
        _rebind(checkpoint, name, ours)
    config_text.install(Config)


def install_running(runner: type) -> None:
    """Let a runner say which config key weights do not fit, and refuse those
    of another shape where it does not train afterwards or goes on.

    Args:
        runner (type): mmengine's Runner or FlexibleRunner.
    """

    def wrapped(name: str, whole: bool | None) -> None:
        upstream = getattr(runner, name)

        @wraps(upstream)
        def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            with model_of(getattr(self, 'cfg', None), whole):
                return upstream(self, *args, **kwargs)

        setattr(runner, name, run)

    for name, whole in dict(load_checkpoint=None, test=True, val=True).items():
        wrapped(name, whole)
    resume = runner.resume

    @wraps(resume)
    def go_on(self: Any, *args: Any, **kwargs: Any) -> Any:
        file = kwargs.get('filename') or args[0]
        with (model_of(whole=True), config_text.only_read(),
              going_on_from(f'the state of {file}')):
            try:
                result = resume(self, *args, **kwargs)
            except KeyError as error:
                if error.args[:1] not in _RUN_STATE:
                    raise
                raise CheckpointError(
                    f'{file} has no {error.args[0]!r}: it holds weights, but '
                    'not the state of a run; give it as load_from, not as '
                    '--resume') from error
            for number in (self.epoch, self.iter):
                if not isinstance(number, int) or number < 0:
                    raise ValueError(f'it was in {number!r}')
        return result

    runner.resume = go_on
