"""Folders of generated files that are either whole or absent."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

MANIFEST = 'manifest.json'
UNFINISHED = 'UNFINISHED'
_MANIFEST_KEYS = ('kind', 'version', 'parameters', 'files', 'digest')


class FolderCacheError(RuntimeError):
    """A folder of generated files cannot be used as it is."""


def digest_folder(folder: Path) -> tuple[int, str]:
    """Count and digest the files of a folder, its own bookkeeping left out.

    Args:
        folder (Path): The folder, walked with its subfolders.

    Returns:
        tuple[int, str]: Number of files, and the SHA-256 over the sorted
        relative paths and contents of all files, as 64 hexadecimal digits.
    """
    paths = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob('*')
        if path.is_file())
    paths = [path for path in paths if path not in (MANIFEST, UNFINISHED)]
    total = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        total.update(f'{path}\0{content}\n'.encode())
    return len(paths), total.hexdigest()


def check_folder(root: Path, kind: str, version: int, parameters: dict,
                 advice: str) -> None:
    """Check that a folder is whole and holds what is asked for.

    Args:
        root (Path): The folder.
        kind (str): What the folder holds, e.g. ``'digit scenes'``.
        version (int): Version of the generator.
        parameters (dict): What the generator was called with (JSON values).
        advice (str): The sentence on how to regenerate that ends an error.

    Raises:
        FolderCacheError: The manifest is missing or damaged, it is of
            another kind, version or of other parameters, or files are
            missing, added or changed.
    """

    def fail(reason: str):
        raise FolderCacheError(f'{root} cannot be used as {kind}: {reason}. '
                               f'{advice}')

    try:
        found = json.loads((root / MANIFEST).read_text())
    except FileNotFoundError:
        fail(f'it has no {MANIFEST}')
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        fail(f'{MANIFEST} is damaged ({error})')
    if not isinstance(found, dict) or set(found) != set(_MANIFEST_KEYS):
        fail(f'{MANIFEST} must hold exactly the keys '
             f'{", ".join(_MANIFEST_KEYS)}')
    wanted = dict(kind=kind, version=version, **parameters)
    held = dict(kind=found['kind'], version=found['version'])
    if isinstance(found['parameters'], dict):
        held.update(found['parameters'])
    other = [
        f'{key} is {held.get(key)!r} there and {wanted.get(key)!r} is asked '
        'for' for key in {**wanted, **held}
        if held.get(key) != wanted.get(key)
    ]
    if other:
        fail('; '.join(other))
    count, digest = digest_folder(root)
    if count != found['files']:
        fail(f'it holds {count} files where {MANIFEST} says {found["files"]}')
    if digest != found['digest']:
        fail(f'its files differ from the digest in {MANIFEST}')


def ensure_folder(root: str | os.PathLike,
                  kind: str,
                  version: int,
                  parameters: dict,
                  write: Callable[[Path], None],
                  advice: str,
                  overwrite: bool = False) -> Path:
    """Return a folder of generated files, generating it where it is absent.

    The files are written into ``<root>.partial``, the manifest last, and the
    folder is then renamed, so that a folder under its final name is whole.
    A lock file ``<root>.lock``, released by the system when its process
    ends, makes several processes wait for the one that generates.

    Args:
        root (str | os.PathLike): The folder. Absent or empty: generated.
        kind (str): What it holds, for the manifest and for messages.
        version (int): Version of the generator.
        parameters (dict): What the generator depends on (JSON values).
        write (Callable[[Path], None]): Writes the files into a folder.
        advice (str): How to regenerate, a sentence for error messages.
        overwrite (bool): Replace an existing folder if it has a manifest,
            damaged or not. Defaults to False.

    Returns:
        Path: The folder.

    Raises:
        FolderCacheError: An existing folder is not what is asked for, or
            ``overwrite`` would delete a folder that was not generated.
        NotADirectoryError: ``root`` is a file.
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(
            f'{root} is a file; {kind} need a folder of that name')
    if not overwrite and _occupied(root):
        check_folder(root, kind, version, parameters, advice)
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f'{root}.lock'):
        # Another process may have finished while this one waited.
        if not overwrite and _occupied(root):
            check_folder(root, kind, version, parameters, advice)
            return root
        if _occupied(root) and not (root / MANIFEST).exists():
            raise FolderCacheError(
                f'{root} has no {MANIFEST}, so it was not generated as '
                f'{kind} and is not overwritten: choose another folder or '
                'delete it yourself')
        partial = _new_partial(root)
        write(partial)
        files, digest = digest_folder(partial)
        manifest = dict(
            kind=kind, version=version, parameters=parameters, files=files,
            digest=digest)
        (partial / MANIFEST).write_text(
            json.dumps(manifest, indent=2, sort_keys=True) + '\n')
        (partial / UNFINISHED).unlink()
        with TemporaryDirectory(
                prefix=f'{root.name}.replaced-', dir=root.parent) as trash:
            if root.exists():
                root.rename(Path(trash) / root.name)
            partial.rename(root)
    return root


def _occupied(root: Path) -> bool:
    """Tell whether a folder exists and is not empty."""
    return root.is_dir() and any(root.iterdir())


def _new_partial(root: Path) -> Path:
    """Make the folder to write into, in place of an abandoned one."""
    partial = root.with_name(root.name + '.partial')
    if partial.exists():
        names = {path.name for path in partial.iterdir()}
        if names and not names & {UNFINISHED, MANIFEST}:
            raise FolderCacheError(
                f'{partial} is in the way of generating {root} and was not '
                'made for it: move it away')
        shutil.rmtree(partial)
    partial.mkdir()
    (partial / UNFINISHED).write_text(
        f'{root.name} is generated here; delete this folder if no process '
        'is at work.\n')
    return partial
