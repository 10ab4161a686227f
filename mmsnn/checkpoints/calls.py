"""What PyTorch calls for an untrusted file, and that all of it is read.

PyTorch lets a file call classes of tensors and storages with a size, which
gives memory as the process has left it, and classes of distributed tensors,
which connect processes. In its format of before 1.6, a storage that the file
has no data for is such memory, too. None of that is in what is written.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, Any

import torch._weights_only_unpickler as upstream
from torch import serialization

#: What files of tensors, numbers, strings and containers call.
_CALLED = (
    'collections.Counter', 'collections.OrderedDict', '_codecs.encode',
    'builtins.complex', 'builtins.set', 'torch.Size', 'torch.device',
    'torch.nn.parameter.Parameter', 'torch.serialization._get_layout',
    'torch._tensor._rebuild_from_type_v2',
    *('torch._utils._rebuild_' + what for what in (
        'device_tensor_from_cpu_tensor', 'device_tensor_from_numpy',
        'parameter', 'parameter_with_state', 'qtensor', 'sparse_tensor',
        'tensor', 'tensor_v2', 'tensor_v3')))
#: Modules whose classes PyTorch itself lets files call once it has imported
#: them.
_OF_PYTORCH = ('torch.distributed.', 'torch.nested.', 'torch._dynamo.')
_allowed = upstream._get_allowed_globals


class _Named(dict):
    """What a file may name."""

    def values(self) -> list[Any]:
        """What it may call, too: for that alone PyTorch asks."""
        return self.called


@cache
def _named() -> _Named:
    named = _Named(_allowed())
    named.called = [named[name] for name in _CALLED if name in named]
    return named


class _Whole:
    """PyTorch's module ``_weights_only_unpickler``, for one file, each
    storage of which has data."""

    def __init__(self) -> None:
        self._keys: set[Any] = set()
        keys = self._keys

        class Unpickler(upstream.Unpickler):

            @property
            def persistent_load(self) -> Callable:
                return self._storage_of

            @persistent_load.setter
            def persistent_load(self, storage_of: Callable) -> None:

                def noted(saved: Any) -> Any:
                    keys.add(saved[2])
                    return storage_of(saved)

                self._storage_of = noted

        self.Unpickler = Unpickler

    def __getattr__(self, name: str) -> Any:
        return getattr(upstream, name)

    def load(self, file: IO[bytes], **options: Any) -> Any:
        """Read one of the things that surround what the format of before 1.6
        holds; behind it come the keys of storages that have data."""
        found = upstream.load(file, **options)
        if self._keys and not self._keys.issubset(found):
            raise ValueError('it has no data for some of its storages')
        return found


def added_by_user(name: str) -> bool:
    """Whether a name that is safe to PyTorch is not one of its own.

    Args:
        name (str): With its module.

    Returns:
        bool: Whether it was added by ``torch.serialization``'s functions.

    Example:
        >>> added_by_user('torch.distributed.device_mesh.DeviceMesh')
        False
    """
    return not name.startswith(_OF_PYTORCH)


@contextmanager
def fewer_calls() -> Iterator[None]:
    """Let the file that is read in the block call no more than it needs.

    Not to be used by several threads at once.
    """
    serialization._weights_only_unpickler = _Whole()
    upstream._get_allowed_globals = _named
    try:
        yield
    finally:
        serialization._weights_only_unpickler = upstream
        upstream._get_allowed_globals = _allowed
