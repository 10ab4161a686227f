"""What the sets of generated digits share: parameters, folder, tool."""

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from .generated_folder import ensure_folder
from .render import SPLITS


def with_defaults(options: Mapping[str, Any], **defaults: Any) -> dict:
    """Keys of a data set over their defaults.

    Args:
        options (Mapping[str, Any]): What was given.
        **defaults: What is taken for keys that were not. Where both are
            dicts, that holds for each key in them.

    Returns:
        dict: All of both.

    Example:
        >>> with_defaults(dict(data_prefix=dict(img='a')), ann_file='b',
        ...               data_prefix=dict(img='c', seg='d'))
        {'ann_file': 'b', 'data_prefix': {'img': 'a', 'seg': 'd'}}
    """
    merged = {**defaults, **options}
    for key, default in defaults.items():
        if isinstance(default, Mapping) and isinstance(merged[key], Mapping):
            merged[key] = {**default, **merged[key]}
    return merged


@dataclass(frozen=True)
class DigitSet:
    """A set of digits that is generated from parameters.

    Args:
        name (str): What it is called, e.g. ``'digit scenes'``.
        version (int): To be raised whenever the same parameters give other
            files than before.
        tasks (tuple[str, ...]): What a data set can read from it.
        specs (tuple[type, ...]): Data classes whose fields are the
            parameters; ``to_dict()`` gives them as JSON values.
        write (Callable): ``write(folder, *specs)`` writes all files into an
            existing folder.
    """

    name: str
    version: int
    tasks: tuple[str, ...]
    specs: tuple[type, ...]
    write: Callable[..., None]

    def read(self, parameters: dict) -> tuple:
        """Make the specifications of the parameters.

        Args:
            parameters (dict): Fields of ``specs``; the others keep their
                defaults.

        Returns:
            tuple: An object of each of ``specs``.

        Raises:
            ValueError: An unknown parameter, or a value out of range.
        """
        known = [field.name for kind in self.specs for field in fields(kind)]
        for key in parameters:
            if key not in known:
                raise ValueError(f'{key} is no parameter of the {self.name}; '
                                 f'valid are {", ".join(known)}')
        return tuple(
            kind(**{
                field.name: parameters[field.name]
                for field in fields(kind) if field.name in parameters
            }) for kind in self.specs)

    def prepare(self, root: str | os.PathLike, overwrite: bool = False,
                **parameters) -> Path:
        """Make sure that a folder holds the set.

        It is generated where the folder is absent or empty, and otherwise
        checked file by file. Several processes may call this at once.

        Args:
            root (str | os.PathLike): The folder.
            overwrite (bool): Generate again, whatever a former call left in
                the folder. Defaults to False.
            **parameters: See :meth:`read`.

        Returns:
            Path: The folder.

        Raises:
            ValueError: An unknown parameter, or a value out of range.
            FolderCacheError: The folder is damaged or holds something else
                than what is asked for (:mod:`.generated_folder`).

        Example:
            >>> import tempfile
            >>> from mmsnn.datasets import prepare_digit_scenes
            >>> prepare_digit_scenes(tempfile.mkdtemp(), digits=3)
            Traceback (most recent call last):
            ValueError: digits is no parameter of the digit scenes; valid are
                seed,
            size, train, val, max_digits, digit_height, cls_size
        """
        specs = self.read(parameters)

        def write(folder: Path) -> None:
            print_log(f'Generating {self.name} in {root}', logger='current')
            self.write(folder, *specs)

        return ensure_folder(
            root,
            kind=self.name,
            version=self.version,
            parameters={
                key: value
                for spec in specs for key, value in spec.to_dict().items()
            },
            write=write,
            advice='Delete the folder or run "python tools/dataset_converters/'
            f'{self._folder}.py {root} --overwrite" to generate it again, or '
            'set another root.',
            overwrite=overwrite)

    def prepare_for(self, root: str, task: str, split: str,
                    parameters: dict | None, options: dict) -> dict:
        """Check the keys of a data set, and prepare its folder.

        Args:
            root (str): The folder.
            task (str): One of ``tasks``.
            split (str): 'train' or 'val'.
            parameters (dict, optional): See :meth:`read`.
            options (dict): Other keys of the data set. With ``lazy_init``,
                nothing is generated.

        Returns:
            dict: The options, with ``test_mode``, which is by default
            whether the split is 'val'.

        Raises:
            ValueError: ``task`` or ``split`` is unknown, or as
                :meth:`prepare`.
        """
        for key, value, valid in (('task', task, self.tasks),
                                  ('split', split, SPLITS)):
            if value not in valid:
                kind = self.name.title().replace(' ', '')
                raise ValueError(f'{key} of {kind} must be one of '
                                 f'{", ".join(valid)}, got {value!r}')
        if not options.get('lazy_init'):
            self.prepare(root, **(parameters or {}))
        return dict(dict(test_mode=split == 'val'), **options)

    def run_tool(self, description: str) -> None:
        """Prepare a folder as the command line says.

        Args:
            description (str): What the tool does, for ``--help``.
        """
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument(
            'root', help=f'folder to write, e.g. data/{self._folder}')
        parser.add_argument(
            '--overwrite', action='store_true',
            help='replace files that are damaged or of other parameters')
        for field in (field for kind in self.specs for field in fields(kind)):
            pair = isinstance(field.default, tuple)
            parser.add_argument(
                '--' + field.name.replace('_', '-'),
                type=type(field.default[0] if pair else field.default),
                nargs=len(field.default) if pair else None,
                default=field.default,
                help=f'default {field.default}')
        folder = self.prepare(**vars(parser.parse_args()))
        print(f'{folder} holds the {self.name}.')

    @property
    def _folder(self) -> str:
        """What its folder and its tool are called."""
        return self.name.replace(' ', '_')
