"""Reading a checkpoint runs nothing that came in it."""

import os
import pickle
import re
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import serialization
from torch.serialization import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
)

from .calls import added_by_user, fewer_calls
from .record_sizes import CheckedReader
from .resolver import Resolver
from .stand_ins import STAND_INS, Unfit
from .trust import CheckpointError, CheckpointRefused, trusted

#: How PyTorch says what it does not find, call or make.
_FOUND = re.compile(r'GLOBAL (\S+)|(?:unrecognized function|`add_safe_globals`'
                    r",?\s+but got) <\w+ '?([\w.]+)|imported to load ([\w ]+)")
#: What PyTorch raises on files that are damaged or no checkpoints.
_DAMAGED = (RuntimeError, OSError, EOFError, LookupError, ValueError,
            TypeError, AttributeError, AssertionError, OverflowError,
            MemoryError, struct.error, zipfile.BadZipFile, zlib.error,
            pickle.UnpicklingError)
_lock = threading.RLock()
_asked: ContextVar[str | None] = ContextVar('asked', default=None)
#: Hashes of the strings in the files that were read.
_texts: set[int] = set()


@dataclass
class Origin:
    """The file that weights were read from.

    Args:
        file (str): Its name.
        names (list[str]): Names of its weights.
        config (str, optional): The text of the config that made it.
    """

    file: str = 'the checkpoint'
    names: list[str] = field(default_factory=list)
    config: str | None = None


_last: ContextVar[Origin] = ContextVar('last', default=Origin())  # noqa: B039


@contextmanager
def asked_for(name: str) -> Iterator[None]:
    """Say by which name a file was asked for, for error messages.

    Args:
        name (str): Its path or URL.
    """
    token = _asked.set(str(name))
    try:
        yield
    finally:
        _asked.reset(token)


def came_in_checkpoint(text: str) -> bool:
    """Tell whether a string is a value in a file that was read untrusted.

    Args:
        text (str): The string.

    Returns:
        bool: Whether it is.
    """
    return hash(text) in _texts


def origin_of(state: dict[str, Any]) -> Origin:
    """Where weights come from.

    Args:
        state (dict[str, Any]): Weights by name, with or without a prefix.

    Returns:
        Origin: The file that was read last if it has the first of them, else
        one without names.
    """
    last, first = _last.get(), next(iter(state), '')
    known = any(str(name).endswith(str(first)) for name in last.names)
    return last if known and first else Origin()


def last_names() -> list[str]:
    """Names of the weights in the file that was read last.

    Returns:
        list[str]: The names.
    """
    return [str(name) for name in _last.get().names]


def stored_config(checkpoint: Any) -> str | None:
    """Text of the config that a checkpoint was made with.

    Args:
        checkpoint (Any): What was read.

    Returns:
        str | None: The text, where mmengine's and mmcv's versions keep it.
    """
    for keys in (('message_hub', 'runtime_info', 'cfg'), ('meta', 'cfg'),
                 ('meta', 'config')):
        found = checkpoint
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, str):
            return found
    return None


def _name(kind: Any) -> str:
    """The name of what is safe to PyTorch."""
    return kind[1] if isinstance(kind, tuple) else (
        f'{kind.__module__}.{kind.__qualname__}')


@contextmanager
def _data_only() -> Iterator[None]:
    """Let our names, and those that the user added, be found, little be
    called and sizes be checked."""
    with _lock:
        before = get_safe_globals()
        ours = list(STAND_INS.values())
        names = set(STAND_INS)
        clear_safe_globals()
        add_safe_globals([
            kind for kind in before
            if _name(kind) not in names and added_by_user(_name(kind))
        ] + ours)
        reader = serialization._open_zipfile_reader
        serialization._open_zipfile_reader = CheckedReader
        try:
            # Indices of sparse tensors are not checked otherwise.
            with fewer_calls(), torch.sparse.check_sparse_tensor_invariants():
                yield
        finally:
            serialization._open_zipfile_reader = reader
            clear_safe_globals()
            add_safe_globals(before)


def read_checkpoint(file: Any,
                    map_location: Any = None,
                    **options: Any) -> Any:
    """Read a checkpoint: tensors, numbers, strings, containers of these, and
    what mmengine itself writes (:mod:`mmsnn.checkpoints.stand_ins`).

    With ``MMSNN_TRUST_CHECKPOINT=1`` in the environment, anything is read.

    Args:
        file (str | Path | IO): The file.
        map_location (Any): As of :func:`torch.load`.
        **options (Any): Others of :func:`torch.load`.

    Returns:
        Any: What it holds.

    Raises:
        CheckpointRefused: It holds something else, which is named.
        CheckpointError: It is cut off, damaged or no checkpoint.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> torch.save({'weight': torch.ones(2)}, file)
        >>> _ = file.seek(0)
        >>> read_checkpoint(file)
        {'weight': tensor([1., 1.])}
    """
    name = _asked.get()
    if name is None:
        name = str(file) if isinstance(file, (str, os.PathLike)) else (
            str(getattr(file, 'name', 'the checkpoint')))
    options['map_location'] = map_location
    resolver = Resolver()
    try:
        if trusted():
            loaded = torch.load(file, weights_only=False, **options)
        else:
            with _data_only():
                loaded = torch.load(file, weights_only=True, **options)
            loaded = resolver(loaded)
    except Unfit as error:
        raise CheckpointRefused(name, str(error)) from error
    except RecursionError as error:
        raise CheckpointError(
            f'{name} holds containers too deep inside each other to be '
            'read') from error
    except torch.OutOfMemoryError:
        raise
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # it could not be opened
        found = _FOUND.search(str(error))
        if found and not trusted():
            raise CheckpointRefused(name, found[found.lastindex]) from error
        raise CheckpointError(
            f'{name} is cut off, damaged or no checkpoint '
            f'({_short(error)}){_other_format(error)}') from error
    _texts.update(map(hash, resolver.texts))
    if isinstance(loaded, dict):
        state = loaded.get('state_dict', loaded)
        _last.set(Origin(name, list(state) if isinstance(state, dict) else [],
                         stored_config(loaded)))
    return loaded


def _other_format(error: Exception) -> str:
    """What to do with a file that may be whole, but in another format."""
    if 'Unsupported operand' not in str(error):
        return ''
    return ('; TorchScript and pickles of another protocol than 2 need '
            '--trust-checkpoint')


def _short(error: Exception) -> str:
    """The first sentence of an error, or its kind, in printable letters."""
    if isinstance(error, LookupError):
        return type(error).__name__
    text = str(error).partition(
        'Please file an issue with the following so that we can make ')[2] or (
            str(error))
    lines = [line for line in text.splitlines() if 'WeightsUnpickler error:'
             in line] or text.splitlines() or ['']
    first = lines[0].partition('WeightsUnpickler error: ')[2] or lines[0]
    first = ''.join(filter(str.isprintable, first))[:120].strip().rstrip('.')
    return first or type(error).__name__
