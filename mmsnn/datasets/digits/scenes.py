"""Digit scenes for classification, detection and segmentation.

.. code-block:: none

    digit_scenes
    ├── manifest.json
    ├── images
    │   ├── training/000000.png ...
    │   └── validation/000000.png ...
    ├── annotations                      (ADE style, mmseg.BaseSegDataset)
    │   ├── training/000000.png ...      0: background, 1..10: digit 0..9
    │   └── validation/000000.png ...
    ├── det/annotations                  (COCO, mmdet.CocoDataset)
    │   ├── instances_train.json
    │   └── instances_val.json
    └── cls                              (mmpretrain.CustomDataset)
        ├── train/<digit>/0001.png ...   one handwritten digit each
        └── val/<digit>/0002.png ...
"""

from pathlib import Path

import cv2
import numpy as np
from mmengine.dataset import BaseDataset

from mmsnn.registry import DATASETS

from .digit_set import DigitSet, with_defaults
from .render import CLASSES, PALETTE, SPLITS, DigitPool, Scene, SceneSpec
from .write import write_scenes, write_singles

#: Names of the splits in ADE-style folders.
ADE_SPLITS = dict(train='training', val='validation')
BACKGROUND = (40, 40, 40)


def write_digit_scenes(folder: Path, spec: SceneSpec) -> None:
    """Write all scenes of a specification into a folder, with progress.

    Args:
        folder (Path): An existing folder.
        spec (SceneSpec): The parameters.
    """
    pool = DigitPool(spec.seed)
    for split in SPLITS:
        images = folder / 'images' / ADE_SPLITS[split]
        masks = folder / 'annotations' / ADE_SPLITS[split]
        for path in (images, masks):
            path.mkdir(parents=True)

        def write_scene(scene: Scene, number: int) -> dict:
            name = f'{number:06d}.png'
            _write_png(images / name, scene.image)
            classes = np.array([0, *(label + 1 for label in scene.labels)])
            _write_png(masks / name, classes[scene.instances].astype(np.uint8))
            return dict(file_name=name)

        def write_single(path: Path, image: np.ndarray, digit: int) -> None:
            _write_png(path.with_suffix('.png'), image)

        write_scenes(folder, spec, pool, split, 'Digit scenes', write_scene)
        write_singles(folder, spec, pool, split, write_single)


def _write_png(path: Path, pixels: np.ndarray) -> None:
    """Write an RGB or an index image."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f'{path} could not be written')


# Raise the version whenever the same parameters give other files than before.
DIGIT_SCENES = DigitSet('digit scenes', 1, ('cls', 'det', 'seg'),
                        (SceneSpec, ), write_digit_scenes)
#: :meth:`.digit_set.DigitSet.prepare` of the digit scenes, which takes some
#: seconds. The parameters are fields of :class:`.render.SceneSpec`.
prepare_digit_scenes = DIGIT_SCENES.prepare


@DATASETS.register_module(name='DigitScenes')
def digit_scenes(root: str = 'data/digit_scenes',
                 task: str = 'seg',
                 split: str = 'train',
                 scenes: dict | None = None,
                 data_root: str | None = None,
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
        data_root (str, optional): As ``root``, before which it goes, under
            the name that it has in upstream's datasets.
        **kwargs: Passed to the upstream dataset, e.g. ``pipeline``. Given
            ``ann_file``, ``data_prefix`` and ``metainfo`` go before those of
            the scenes.

    Returns:
        BaseDataset: The upstream dataset.

    Raises:
        ValueError: ``task`` or ``split`` is unknown.
        ModuleNotFoundError: The task's framework is not installed.

    Example:
        >>> digit_scenes(task='pose')
        Traceback (most recent call last):
        ValueError: task of DigitScenes must be one of cls, det, seg, got
            'pose'
    """
    root = str(data_root or root)
    kwargs = DIGIT_SCENES.prepare_for(root, task, split, scenes, kwargs)
    # A task imports only its own framework.
    if task == 'cls':
        from mmpretrain.datasets import CustomDataset
        return CustomDataset(
            data_root=root,
            **with_defaults(
                kwargs, data_prefix=f'cls/{split}', classes=CLASSES))
    if task == 'det':
        from mmdet.datasets import CocoDataset
        return CocoDataset(
            data_root=root,
            **with_defaults(
                kwargs,
                ann_file=f'det/annotations/instances_{split}.json',
                data_prefix=dict(img=f'images/{ADE_SPLITS[split]}'),
                metainfo=dict(classes=CLASSES, palette=list(PALETTE))))
    from mmseg.datasets import BaseSegDataset
    return BaseSegDataset(
        data_root=root,
        **with_defaults(
            kwargs,
            img_suffix='.png',
            data_prefix=dict(
                img_path=f'images/{ADE_SPLITS[split]}',
                seg_map_path=f'annotations/{ADE_SPLITS[split]}'),
            metainfo=dict(
                classes=('background', *CLASSES),
                palette=[list(colour) for colour in (BACKGROUND, *PALETTE)])))
