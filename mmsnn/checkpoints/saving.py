"""Checkpoints are whole or not there, and the old one stays until then."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from mmengine.dist import is_main_process

from mmsnn.files import remove_parts, whole_file, write_whole

from .latest import moved_with


def put(self: Any, obj: bytes, filepath: str | Path) -> None:
    """Write bytes to a local file, whole or not at all.

    In the place of ``LocalBackend.put``, through which mmengine writes every
    checkpoint.

    Args:
        self (LocalBackend): mmengine's backend.
        obj (bytes): What to write.
        filepath (str | Path): The file. Its folder is made.

    Raises:
        OSError: The disk is full, or the file can not be written.
    """
    write_whole(filepath, obj)


@contextmanager
def _open_whole(path: str | Path, mode: str) -> Iterator[IO[str]]:
    """``open(path, 'w')`` for a file that is whole or not there."""
    with whole_file(path) as part, part.open(mode) as file:
        yield file


class _RemovesLater:
    """A file backend that remembers what it should remove.

    Args:
        backend (BaseStorageBackend): The backend, which does all else.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._calls: list[tuple[Callable, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._calls.append((self._backend.remove, path))

    def rmtree(self, path: str) -> None:
        self._calls.append((self._backend.rmtree, path))

    def finish(self, folder: str, kept: set[str | None]) -> None:
        """Remove them, except those that were saved meanwhile.

        Nor those outside of the hook's folder: a checkpoint that is resumed
        names the best one before, and could name any file.
        """
        folder = os.path.realpath(folder) + os.sep
        saved = {os.path.realpath(path) for path in kept if path}
        for call, path in self._calls:
            real = os.path.realpath(path)
            if real.startswith(folder) and real not in saved:
                call(path)


def keeping_the_old(save: Callable) -> Callable:
    """A CheckpointHook's method that removes old files after it has saved.

    Args:
        save (Callable): The method, which removes them before.

    Returns:
        Callable: The same, except that an error while saving leaves them.
    """

    @wraps(save)
    def saving(self: Any, *args: Any, **kwargs: Any) -> Any:
        backend = self.file_backend
        self.file_backend = later = _RemovesLater(backend)
        try:
            result = save(self, *args, **kwargs)
        finally:
            self.file_backend = backend
        best = getattr(self, 'best_ckpt_path_dict', {}).values()
        later.finish(self.out_dir, {
            self.last_ckpt, getattr(self, 'best_ckpt_path', None), *best})
        return result

    return saving


def going_on(before_train: Callable) -> Callable:
    """A CheckpointHook's ``before_train`` for a run that was killed while it
    saved, or of which the folder was moved.

    Args:
        before_train (Callable): The method.

    Returns:
        Callable: It also removes what is left of files that were being
        written, and finds the best and the last checkpoint in a folder that
        was moved or copied.
    """

    @wraps(before_train)
    def start(self: Any, runner: Any) -> None:
        before_train(self, runner)
        if '://' in self.out_dir:
            return
        if is_main_process():
            for name in ('*.pth', 'last_checkpoint'):
                remove_parts(Path(self.out_dir) / name)
        hub = runner.message_hub
        found = {
            key: path for key, path in hub.runtime_info.items()
            if isinstance(path, str)
            and (key == 'last_ckpt' or key.startswith('best_ckpt'))
        }
        for key, path in found.items():
            now = moved_with(path, self.out_dir)
            if now != Path(path):
                found[key] = os.path.join(self.out_dir, now.name)
                hub.update_info(key, found[key])
        if hasattr(self, 'best_ckpt_path'):
            self.best_ckpt_path = found.get('best_ckpt')
        best = getattr(self, 'best_ckpt_path_dict', {})
        best.update({name: found.get(f'best_ckpt_{name}') for name in best})

    return start


def install(hooks: ModuleType) -> None:
    """Let mmengine's CheckpointHook write whole files.

    Args:
        hooks (ModuleType): ``mmengine.hooks.checkpoint_hook``.
    """
    from mmengine.fileio.backends import LocalBackend
    LocalBackend.put = put
    hook = hooks.CheckpointHook
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        setattr(hook, name, keeping_the_old(getattr(hook, name)))
    hook.before_train = going_on(hook.before_train)
    # The module opens one file: last_checkpoint, for writing.
    hooks.open = _open_whole
