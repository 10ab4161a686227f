"""Digit scenes written in the standard forms that OpenMMLab reads.

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

import json
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from .render import CLASSES, SPLITS, DigitPool, Scene, SceneSpec

# Names of the splits in ADE-style folders.
ADE_SPLITS = dict(train='training', val='validation')
# Contours are traced on masks enlarged by this factor, so that their points
# lie on the edges of pixels rather than on the centres.
_TRACE = 4


def write_digit_scenes(folder: Path, spec: SceneSpec) -> None:
    """Write all scenes of a specification into a folder, with progress.

    Args:
        folder (Path): An existing folder.
        spec (SceneSpec): The parameters.
    """
    pool = DigitPool(spec.seed)
    for split in SPLITS:
        _write_scenes(folder, spec, pool, split)
        _write_singles(folder, spec, pool, split)


def empty_coco() -> dict:
    """Content of a COCO file of digits, without images."""
    return dict(
        images=[], annotations=[], categories=[
            dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)
        ])


def add_scene(content: dict, scene: Scene, **image) -> None:
    """Add a scene to the content of a COCO file.

    Args:
        content (dict): From :func:`empty_coco`, changed in place.
        scene (Scene): The scene.
        **image: ``id``, ``file_name`` and more keys of the image.
    """
    height, width = scene.instances.shape
    content['images'].append(dict(image, height=height, width=width))
    for annotation in coco_annotations(scene):
        annotation.update(
            id=len(content['annotations']) + 1, image_id=image['id'])
        content['annotations'].append(annotation)


def coco_annotations(scene: Scene) -> list[dict]:
    """Return the COCO annotations of a scene, without ids.

    Boxes and polygons enclose the visible part of a digit. As in COCO,
    polygons have no holes: the inside of a 0 belongs to its polygon, unless
    another digit is seen in it.

    Args:
        scene (Scene): The scene.

    Returns:
        list[dict]: Per digit ``category_id`` (1..10 for digit 0..9),
        ``bbox`` (x, y, width, height in pixels), ``segmentation``
        (polygons in pixels), ``area`` (pixels), ``iscrowd`` and ``digit``,
        the handwritten digit's index in ``load_digits``.
    """
    annotations = []
    for i, (label, digit) in enumerate(zip(scene.labels, scene.digits)):
        rows, columns = np.where(scene.instances == i + 1)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1,
               np.ptp(rows) + 1]
        filled = fill_holes(scene.instances, i + 1)
        annotations.append(
            dict(
                category_id=label + 1,
                bbox=[int(value) for value in box],
                segmentation=_polygons(filled),
                area=int(filled.sum()),
                iscrowd=0,
                digit=digit))
    return annotations


def fill_holes(instances: np.ndarray, number: int) -> np.ndarray:
    """Return an instance's mask with its enclosed background filled.

    Args:
        instances (np.ndarray): Instance map, (H, W), uint8.
        number (int): The instance's value in the map.

    Returns:
        np.ndarray: Mask of 0 and 1, (H, W), uint8.
    """
    outer = _contours((instances == number).astype(np.uint8))
    filled = np.zeros(instances.shape, np.uint8)
    cv2.drawContours(filled, outer, -1, 1, cv2.FILLED)
    filled[(instances != number) & (instances > 0)] = 0
    return filled


def _contours(mask: np.ndarray) -> tuple:
    """Return the outer contours of a mask."""
    return cv2.findContours(mask, cv2.RETR_EXTERNAL,
                            cv2.CHAIN_APPROX_SIMPLE)[0]


def _polygons(mask: np.ndarray) -> list[list[float]]:
    """Return the outlines of a mask as COCO polygons."""
    large = mask.repeat(_TRACE, 0).repeat(_TRACE, 1)
    return [((points.reshape(-1) + 0.5) / _TRACE).tolist()
            for points in _contours(large)]


def _write_scenes(folder: Path, spec: SceneSpec, pool: DigitPool,
                  split: str) -> None:
    """Write a split's images, index masks and COCO JSON."""
    images = folder / 'images' / ADE_SPLITS[split]
    masks = folder / 'annotations' / ADE_SPLITS[split]
    coco = folder / 'det' / 'annotations'
    for path in (images, masks, coco):
        path.mkdir(parents=True, exist_ok=True)
    content = empty_coco()
    for number in track(
            range(getattr(spec, split)), f'Digit scenes, {split}'):
        scene = pool.render(spec, split, number)
        name = f'{number:06d}.png'
        _write_png(images / name, scene.image)
        classes = np.array([0, *(label + 1 for label in scene.labels)])
        _write_png(masks / name, classes[scene.instances].astype(np.uint8))
        add_scene(content, scene, id=number, file_name=name)
    (coco / f'instances_{split}.json').write_text(
        json.dumps(content, sort_keys=True))


def _write_singles(folder: Path, spec: SceneSpec, pool: DigitPool,
                   split: str) -> None:
    """Write a split's classification images, one per handwritten digit."""
    for name in CLASSES:
        (folder / 'cls' / split / name).mkdir(parents=True)
    for digit in track(pool.indices[split], f'Single digits, {split}'):
        name = CLASSES[pool.labels[digit]]
        _write_png(folder / 'cls' / split / name / f'{digit:04d}.png',
                   pool.render_single(spec, int(digit)))


def _write_png(path: Path, pixels: np.ndarray) -> None:
    """Write an RGB or an index image."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f'{path} could not be written')
