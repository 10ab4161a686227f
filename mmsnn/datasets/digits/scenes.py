"""Digit scenes for classification, detection and segmentation."""

import os
from dataclasses import fields
from pathlib import Path

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmsnn.registry import DATASETS

from .generated_folder import ensure_folder
from .render import CLASSES, SPLITS, SceneSpec
from .write import ADE_SPLITS, write_digit_scenes

# Raise it whenever the same parameters give other files than before.
VERSION = 1
TASKS = ('cls', 'det', 'seg')
PALETTE = ((230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200),
           (245, 130, 48), (145, 30, 180), (70, 240, 240), (240, 50, 230),
           (210, 245, 60), (250, 190, 212))
BACKGROUND = (40, 40, 40)


def prepare_digit_scenes(root: str | os.PathLike,
                         overwrite: bool = False,
                         **parameters) -> Path:
    """Make sure that a folder holds the digit scenes.

    The scenes are generated where the folder is absent or empty, which takes
    some seconds, and otherwise checked file by file. Several processes may
    call this at once.

    Args:
        root (str | os.PathLike): The folder, see
            :mod:`mmsnn.datasets.digits.write` for its tree.
        overwrite (bool): Generate again, whatever a former call left in the
            folder. Defaults to False.
        **parameters: Fields of
            :class:`mmsnn.datasets.digits.render.SceneSpec`.

    Returns:
        Path: The folder.

    Raises:
        ValueError: An unknown parameter, or a value out of range.
        FolderCacheError: The folder is damaged or holds something else than
            what is asked for (:mod:`.generated_folder`).
    """
    known = [field.name for field in fields(SceneSpec)]
    for key in parameters:
        if key not in known:
            raise ValueError(f'{key} is no parameter of the digit scenes; '
                             f'valid are {", ".join(known)}')
    spec = SceneSpec(**parameters)

    def write(folder: Path) -> None:
        print_log(f'Generating digit scenes in {root}', logger='current')
        write_digit_scenes(folder, spec)

    return ensure_folder(
        root,
        kind='digit scenes',
        version=VERSION,
        parameters=spec.to_dict(),
        write=write,
        advice='Delete the folder or run '
        f'"python tools/dataset_converters/digit_scenes.py {root} '
        '--overwrite" to generate it again, or set another root.',
        overwrite=overwrite)


@DATASETS.register_module(name='DigitScenes')
def digit_scenes(root: str = 'data/digit_scenes',
                 task: str = 'seg',
                 split: str = 'train',
                 scenes: dict | None = None,
                 **kwargs) -> BaseDataset:
    """Return the upstream dataset that reads digit scenes.

    In a config this is ``dict(type='mmsnn.DigitScenes', task='seg', ...)``:
    the scenes are generated on first use, and what is built is an ordinary
    ``mmpretrain.CustomDataset``, ``mmdet.CocoDataset`` or
    ``mmseg.BaseSegDataset``. With ``lazy_init``, by which mmdet's inferencer
    asks for nothing but the names of the classes, none are generated.

    Args:
        root (str): Folder of the scenes. Defaults to 'data/digit_scenes'.
        task (str): 'cls' (10 classes), 'det' (10 classes, boxes and
            polygons) or 'seg' (background and 10 digits). Defaults to 'seg'.
        split (str): 'train' or 'val'. Their handwritten digits are
            disjoint. Defaults to 'train'.
        scenes (dict, optional): Parameters of the scenes, see
            :func:`prepare_digit_scenes`.
        **kwargs: Passed to the upstream dataset, e.g. ``pipeline``.

    Returns:
        BaseDataset: The upstream dataset.

    Raises:
        ValueError: ``task`` or ``split`` is unknown.
        ModuleNotFoundError: The task's framework is not installed.
    """
    for key, value, valid in (('task', task, TASKS), ('split', split,
                                                      SPLITS)):
        if value not in valid:
            raise ValueError(f'{key} of DigitScenes must be one of '
                             f'{", ".join(valid)}, got {value!r}')
    root = str(root)
    if not kwargs.get('lazy_init'):
        prepare_digit_scenes(root, **(scenes or {}))
    kwargs.setdefault('test_mode', split == 'val')
    # A task imports only its own framework.
    if task == 'cls':
        from mmpretrain.datasets import CustomDataset
        return CustomDataset(
            data_root=root, data_prefix=f'cls/{split}', classes=CLASSES,
            **kwargs)
    if task == 'det':
        from mmdet.datasets import CocoDataset
        return CocoDataset(
            data_root=root,
            ann_file=f'det/annotations/instances_{split}.json',
            data_prefix=dict(img=f'images/{ADE_SPLITS[split]}'),
            metainfo=dict(classes=CLASSES, palette=list(PALETTE)),
            **kwargs)
    from mmseg.datasets import BaseSegDataset
    return BaseSegDataset(
        data_root=root,
        img_suffix='.png',
        data_prefix=dict(
            img_path=f'images/{ADE_SPLITS[split]}',
            seg_map_path=f'annotations/{ADE_SPLITS[split]}'),
        metainfo=dict(
            classes=('background', *CLASSES),
            palette=[list(colour) for colour in (BACKGROUND, *PALETTE)]),
        **kwargs)
