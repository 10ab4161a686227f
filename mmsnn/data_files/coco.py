"""Annotation files in COCO's format."""

import json
import math
import warnings
from collections.abc import Callable
from functools import wraps
from reprlib import repr as shown
from types import ModuleType
from typing import Any


def check_coco(module: ModuleType) -> None:
    """Let mmdet's reader of annotations check the file, once.

    Args:
        module (ModuleType): ``mmdet.datasets.api_wrappers.coco_api``.
    """
    kind = module.COCO
    kind.__init__ = _checking(kind.__init__, kind)
    kind.get_cat_ids = _checking_names(kind.get_cat_ids)


def _checking(init: Callable, kind: type) -> Callable:

    @wraps(init)
    def checked(self, annotation_file=None):
        try:
            init(self, annotation_file)
        except (AssertionError, AttributeError, LookupError, RecursionError,
                TypeError, ValueError) as error:
            raise ValueError(
                f"{annotation_file} is no annotation file in COCO's format: "
                f'{reason(error)}') from error
        self.annotation_file = annotation_file
        # Its subclass for panoptic maps has other annotations.
        if annotation_file is not None and type(self) is kind:
            check_annotations(self.dataset, str(annotation_file))

    return checked


def _checking_names(get_cat_ids: Callable) -> Callable:

    @wraps(get_cat_ids)
    def checked(self, cat_names=[], *args, **kwargs):
        known = {category['name'] for category in self.cats.values()}
        lost = [name for name in cat_names if name not in known]
        if lost and getattr(self, 'annotation_file', None) is not None:
            raise ValueError(
                f'{self.annotation_file}: its categories lack {_some(lost)} '
                'of the classes of the data set, so that labels would be '
                "others than the model's: set metainfo=dict(classes=...) of "
                'the dataset, or list all classes as categories (they are '
                f'{_some(sorted(known)) or "none"})')
        return get_cat_ids(self, cat_names, *args, **kwargs)

    return checked


def check_annotations(content: dict, file: str) -> None:
    """Check boxes, categories and images of annotations.

    Boxes outside their image, which upstream leaves out, are warned of.

    Args:
        content (dict): Of the file.
        file (str): Its name.

    Raises:
        ValueError: If a box is no box, or a category or the size of an image
            is missing; the message names the file and the annotation.

    Example:
        >>> box = dict(id=7, image_id=1, category_id=2, bbox=[0, 0, -3, 4])
        >>> image = dict(id=1, file_name='a.jpg', width=8, height=8)
        >>> check_annotations(dict(images=[image], annotations=[box],
        ...                        categories=[dict(id=2, name='a')]),
        ...                   'train.json')
        Traceback (most recent call last):
        ValueError: train.json: annotation 7: bbox [0, 0, -3, 4] is no box
        [x, y, width, height] of finite numbers, with sides of 0 at least
    """
    sizes = {}
    for image in content.get('images', ()):
        size = image.get('width'), image.get('height')
        if not all(_is_finite(n) and n > 0 for n in size) or not isinstance(
                image.get('file_name'), str):
            raise ValueError(
                f'{file}: image {shown(image.get("id"))} must have file_name, '
                'width and height, and a size above 0, but has '
                f'{shown(image.get("file_name"))}, {shown(size[0])} and '
                f'{shown(size[1])}')
        sizes[image['id']] = size
    categories = {category['id'] for category in content.get('categories', ())}
    outside = []
    for annotation in content.get('annotations', ()):
        where = f'{file}: annotation {shown(annotation.get("id"))}'
        if annotation.get('category_id') not in categories:
            raise ValueError(
                f'{where}: category_id {shown(annotation.get("category_id"))} '
                'is not among the categories of the file')
        box = annotation.get('bbox')
        if not _is_box(box):
            raise ValueError(
                f'{where}: bbox {shown(box)} is no box [x, y, width, height] '
                'of finite numbers, with sides of 0 at least')
        if not _is_finite(annotation.get('area', 0)):
            raise ValueError(f'{where}: area {shown(annotation["area"])} is '
                             'no finite number')
        width, height = sizes.get(annotation['image_id'], (math.inf, ) * 2)
        x, y, w, h = box
        if x >= width or y >= height or x + w <= 0 < w or y + h <= 0 < h:
            outside.append(annotation)
    if outside:
        warnings.warn(
            f'{file}: boxes that lie outside their image are left out: '
            f'{len(outside)}, the first is {outside[0]["bbox"]} of annotation '
            f'{shown(outside[0].get("id"))}', stacklevel=2)


def _is_finite(number: Any) -> bool:
    return (isinstance(number, (int, float)) and not isinstance(number, bool)
            and math.isfinite(number))


def _is_box(box: Any) -> bool:
    return (isinstance(box, list) and len(box) == 4
            and all(map(_is_finite, box)) and box[2] >= 0 and box[3] >= 0)


def reason(error: Exception) -> str:
    """What an error says, as a part of a sentence.

    Args:
        error (Exception): The error.

    Returns:
        str: Its first line; of a missing key, that it is missing.

    Example:
        >>> reason(KeyError('bbox'))
        "the key 'bbox' is missing"
    """
    if isinstance(error, json.JSONDecodeError):
        return f'it is cut off or no JSON ({error})'
    if isinstance(error, KeyError):
        return f'the key {error} is missing'
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def _some(names: list[str]) -> str:
    more = f' and {len(names) - 5} more' if len(names) > 5 else ''
    return ', '.join(map(shown, names[:5])) + more
