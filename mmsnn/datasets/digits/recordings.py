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

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset

from mmsnn.datasets.event_sets.base import EventFolder
from mmsnn.datasets.event_sets.gen1 import event_coco_dataset
from mmsnn.datasets.events.formats.atis import write_atis
from mmsnn.registry import DATASETS

from .digit_set import DigitSet, with_defaults
from .render import CLASSES, PALETTE, SPLITS, DigitPool, Scene, SceneSpec
from .saccades import SaccadeSpec, record
from .write import write_scenes, write_singles

#: A row of 240 means something else in the format of the files.
MOST_SIZE = 240


@dataclass(frozen=True)
class RecordedSceneSpec(SceneSpec):
    """Scenes to be recorded: fewer, and no larger than the files allow.

    Args:
        seed (int): As of :class:`.render.SceneSpec`. Defaults to 0.
        size (int): As there, but at most 240. Defaults to 64.
        train (int): Number of training scenes. Defaults to 2000.
        val (int): Number of validation scenes. Defaults to 200.
        max_digits (int): As there. Defaults to 4.
        digit_height (tuple[int, int]): As there. Defaults to (30, 46).
        cls_size (int): As there, but at most 240. Defaults to 32.

    Raises:
        ValueError: A value is out of range.

    Example:
        >>> RecordedSceneSpec(val=3).train
        2000
    """

    train: int = 2000

    def __post_init__(self):
        super().__post_init__()
        for key in ('size', 'cls_size'):
            if getattr(self, key) > MOST_SIZE:
                raise ValueError(f'{key} of the digit events must be at most '
                                 f'{MOST_SIZE}, got {getattr(self, key)}')


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

        def write_scene(scene: Scene, i: int) -> dict:
            name = f'{split}/{i:06d}.bin'
            rng = np.random.default_rng([scenes.seed, 4, number, i])
            write_atis(folder / 'det' / name,
                       record(scene.image, saccades, rng))
            # The camera is back at the end, where the boxes are.
            return dict(file_name=name, events_start=0,
                        events_stop=saccades.total)

        def write_single(path: Path, image: np.ndarray, digit: int) -> None:
            rng = np.random.default_rng([scenes.seed, 5, digit])
            write_atis(path.with_suffix('.bin'), record(image, saccades, rng))

        write_scenes(folder, scenes, pool, split, 'Digit events', write_scene)
        write_singles(folder, scenes, pool, split, write_single)


# Raise the version whenever the same parameters give other files than before.
DIGIT_EVENTS = DigitSet('digit events', 1, ('cls', 'det'),
                        (RecordedSceneSpec, SaccadeSpec), write_digit_events)
#: :meth:`.digit_set.DigitSet.prepare` of the digit events, which takes about a
#: minute. The parameters are fields of :class:`RecordedSceneSpec` and of
#: :class:`.saccades.SaccadeSpec`.
prepare_digit_events = DIGIT_EVENTS.prepare


@DATASETS.register_module(name='DigitEvents')
def digit_events(root: str = 'data/digit_events',
                 task: str = 'cls',
                 split: str = 'train',
                 events: dict | None = None,
                 data_root: str | None = None,
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
        data_root (str, optional): As ``root``, before which it goes, under
            the name that it has in upstream's data sets.
        **kwargs: Passed to the data set, e.g. ``pipeline``.

    Returns:
        BaseDataset: The data set.

    Raises:
        ValueError: ``task`` or ``split`` is unknown.
        ModuleNotFoundError: The task's framework is not installed.

    Example:
        >>> digit_events(split='val', lazy_init=True).CLASSES[:3]
        ('0', '1', '2')
    """
    root = str(data_root or root)
    kwargs = DIGIT_EVENTS.prepare_for(root, task, split, events, kwargs)
    if task == 'cls':
        side = DIGIT_EVENTS.read(events or {})[0].cls_size
        return EventFolder(
            f'{root}/cls', split,
            **with_defaults(
                kwargs, metainfo=dict(classes=CLASSES),
                sensor_size=(side, side)))
    return event_coco_dataset(
        data_root=f'{root}/det',
        **with_defaults(
            kwargs, ann_file=f'annotations/instances_{split}.json',
            metainfo=dict(classes=CLASSES, palette=list(PALETTE))))
