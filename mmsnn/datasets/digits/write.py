"""Scenes as COCO annotations, and single digits in folders of their class."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from .render import CLASSES, DigitPool, Scene, SceneSpec

# Contours are traced on masks enlarged by this factor, so that their points
# lie on the edges of pixels rather than on the centres.
_TRACE = 4


def write_scenes(folder: Path, spec: SceneSpec, pool: DigitPool, split: str,
                 title: str, write: Callable[[Scene, int], dict]) -> None:
    """Draw the scenes of a split, with progress, and annotate them as COCO.

    Args:
        folder (Path): It gets ``det/annotations/instances_<split>.json``.
        spec (SceneSpec): The parameters.
        pool (DigitPool): The handwritten digits.
        split (str): 'train' or 'val'.
        title (str): What the progress bar says.
        write (Callable[[Scene, int], dict]): Writes the file of a scene and
            its number; returns ``file_name`` and other keys of the image.
    """
    content = dict(
        images=[], annotations=[], categories=[
            dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)
        ])
    for number in track(
            range(getattr(spec, split)), f'{title}, {split}'):
        scene = pool.render(spec, split, number)
        height, width = scene.instances.shape
        content['images'].append(
            dict(write(scene, number), id=number, height=height, width=width))
        for annotation in coco_annotations(scene):
            annotation.update(
                id=len(content['annotations']) + 1, image_id=number)
            content['annotations'].append(annotation)
    path = folder / 'det' / 'annotations' / f'instances_{split}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, sort_keys=True))


def write_singles(folder: Path, spec: SceneSpec, pool: DigitPool, split: str,
                  write: Callable[[Path, np.ndarray, int], None]) -> None:
    """Draw each handwritten digit of a split by itself, with progress.

    Args:
        folder (Path): It gets ``cls/<split>/<digit>/<index>.<suffix>``.
        spec (SceneSpec): The parameters.
        pool (DigitPool): The handwritten digits.
        split (str): 'train' or 'val'.
        write (Callable[[Path, np.ndarray, int], None]): Writes a file; it is
            given the path without suffix, the image, (cls_size, cls_size, 3),
            and the index of the handwritten digit.
    """
    for name in CLASSES:
        (folder / 'cls' / split / name).mkdir(parents=True)
    for digit in track(pool.indices[split], f'Single digits, {split}'):
        name = CLASSES[pool.labels[digit]]
        write(folder / 'cls' / split / name / f'{digit:04d}',
              pool.render_single(spec, int(digit)), int(digit))


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
