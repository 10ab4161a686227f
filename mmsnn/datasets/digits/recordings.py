"""Digit events: digit scenes before a moving event camera.

.. code-block:: none

    digit_events
    ├── manifest.json
    ├── cls
    │   ├── train/<digit>/0001.bin ...   one handwritten digit each
    │   └── val/<digit>/0002.bin ...
    └── det
        ├── annotations                  (COCO, with the window of events)
        │   ├── instances_train.json
        │   └── instances_val.json
        ├── train/000000.bin ...         a scene each
        └── val/000000.bin ...
"""

import json
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from rich.progress import track

from mmsnn.datasets.event_sets.base import EventFolder
from mmsnn.datasets.event_sets.gen1 import event_coco_dataset
from mmsnn.datasets.events.formats.atis import write_atis
from mmsnn.registry import DATASETS

from .generated_folder import ensure_folder
from .render import CLASSES, SPLITS, DigitPool, SceneSpec
from .saccades import SaccadeSpec, record
from .scenes import PALETTE
from .write import add_scene, empty_coco

# Raise it whenever the same parameters give other files than before.
VERSION = 1
TASKS = ('cls', 'det')
#: A row of 240 means something else in the format of the files.
MOST_SIZE = 240
#: Scenes of a split, where nothing else is asked for.
DEFAULTS = dict(train=2000, val=200)


def prepare_digit_events(root: str | os.PathLike,
                         overwrite: bool = False,
                         **parameters) -> Path:
    """Make sure that a folder holds the digit events.

    They are generated where the folder is absent or empty, which takes about
    a minute, and otherwise checked file by file. Several processes may call
    this at once.

    Args:
        root (str | os.PathLike): The folder.
        overwrite (bool): Generate again, whatever a former call left in the
            folder. Defaults to False.
        **parameters: Fields of
            :class:`mmsnn.datasets.digits.render.SceneSpec`, with 2,000 and 200
            scenes by default, and of
            :class:`mmsnn.datasets.digits.saccades.SaccadeSpec`.

    Returns:
        Path: The folder.

    Raises:
        ValueError: An unknown parameter, or a value out of range.
        FolderCacheError: The folder is damaged or holds something else than
            what is asked for (:mod:`.generated_folder`).
    """
    scenes, saccades = read_parameters(parameters)

    def write(folder: Path) -> None:
        print_log(f'Generating digit events in {root}', logger='current')
        write_digit_events(folder, scenes, saccades)

    return ensure_folder(
        root,
        kind='digit events',
        version=VERSION,
        parameters={**scenes.to_dict(), **saccades.to_dict()},
        write=write,
        advice='Delete the folder or run '
        f'"python tools/dataset_converters/digit_events.py {root} '
        '--overwrite" to generate it again, or set another root.',
        overwrite=overwrite)


def read_parameters(parameters: dict) -> tuple[SceneSpec, SaccadeSpec]:
    """The parameters of the digit events, with what is not given.

    Raises:
        ValueError: An unknown parameter, or a value out of range.

    Example:
        >>> scenes, saccades = read_parameters(dict(val=3, amplitude=2.))
        >>> scenes.train, scenes.val, saccades.amplitude
        (2000, 3, 2.0)
    """
    kinds = SceneSpec, SaccadeSpec
    known = [field.name for kind in kinds for field in fields(kind)]
    for key in parameters:
        if key not in known:
            raise ValueError(f'{key} is no parameter of the digit events; '
                             f'valid are {", ".join(known)}')
    scenes, saccades = (
        kind(**{
            field.name: value
            for field in fields(kind)
            for key, value in {**DEFAULTS, **parameters}.items()
            if key == field.name
        }) for kind in kinds)
    for key in ('size', 'cls_size'):
        if getattr(scenes, key) > MOST_SIZE:
            raise ValueError(f'{key} of the digit events must be at most '
                             f'{MOST_SIZE}, got {getattr(scenes, key)}')
    return scenes, saccades


def write_digit_events(folder: Path, scenes: SceneSpec,
                       saccades: SaccadeSpec) -> None:
    """Write all recordings into a folder, with progress.

    Args:
        folder (Path): An existing folder.
        scenes (SceneSpec): What is before the camera.
        saccades (SaccadeSpec): How it moves.
    """
    pool = DigitPool(scenes.seed)
    for number, split in enumerate(SPLITS):
        (folder / 'det' / split).mkdir(parents=True)
        (folder / 'det' / 'annotations').mkdir(exist_ok=True)
        content = empty_coco()
        for i in track(range(getattr(scenes, split)),
                       f'Digit events, {split}'):
            scene = pool.render(scenes, split, i)
            name = f'{split}/{i:06d}.bin'
            rng = np.random.default_rng([scenes.seed, 4, number, i])
            write_atis(folder / 'det' / name,
                       record(scene.image, saccades, rng))
            # The camera is back at the end, where the boxes are.
            add_scene(content, scene, id=i, file_name=name, events_start=0,
                      events_stop=saccades.total)
        path = folder / 'det' / 'annotations' / f'instances_{split}.json'
        path.write_text(json.dumps(content, sort_keys=True))
        for name in CLASSES:
            (folder / 'cls' / split / name).mkdir(parents=True)
        for digit in track(pool.indices[split], f'Single digits, {split}'):
            rng = np.random.default_rng([scenes.seed, 5, digit])
            name = CLASSES[pool.labels[digit]]
            write_atis(
                folder / 'cls' / split / name / f'{digit:04d}.bin',
                record(pool.render_single(scenes, int(digit)), saccades, rng))


@DATASETS.register_module(name='DigitEvents')
def digit_events(root: str = 'data/digit_events',
                 task: str = 'cls',
                 split: str = 'train',
                 events: dict | None = None,
                 **kwargs) -> BaseDataset:
    """Return the data set that reads digit events.

    In a config this is ``dict(type='mmsnn.DigitEvents', task='cls', ...)``:
    the recordings are generated on first use, and what is built is
    :class:`mmsnn.datasets.event_sets.base.EventFolder`, or
    :class:`mmsnn.datasets.event_sets.coco.EventCocoDataset` for mmdet.

    Args:
        root (str): Folder of the recordings. Defaults to
            'data/digit_events'.
        task (str): 'cls' (one digit each) or 'det' (scenes with boxes).
            Defaults to 'cls'.
        split (str): 'train' or 'val'. Their handwritten digits are
            disjoint. Defaults to 'train'.
        events (dict, optional): Parameters of the recordings, see
            :func:`prepare_digit_events`.
        **kwargs: Passed to the data set, e.g. ``pipeline``.

    Returns:
        BaseDataset: The data set.

    Raises:
        ValueError: ``task`` or ``split`` is unknown.
        ModuleNotFoundError: The task's framework is not installed.
    """
    for key, value, valid in (('task', task, TASKS), ('split', split,
                                                      SPLITS)):
        if value not in valid:
            raise ValueError(f'{key} of DigitEvents must be one of '
                             f'{", ".join(valid)}, got {value!r}')
    root = str(root)
    if not kwargs.get('lazy_init'):
        prepare_digit_events(root, **(events or {}))
    kwargs.setdefault('test_mode', split == 'val')
    if task == 'cls':
        side = read_parameters(events or {})[0].cls_size
        return EventFolder(
            f'{root}/cls', split, metainfo=dict(classes=CLASSES),
            sensor_size=(side, side), **kwargs)
    return event_coco_dataset(
        data_root=f'{root}/det',
        ann_file=f'annotations/instances_{split}.json',
        metainfo=dict(classes=CLASSES, palette=list(PALETTE)),
        **kwargs)
