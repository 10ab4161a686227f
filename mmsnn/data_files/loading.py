"""Transforms that load an image or a map of labels name its file."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from types import ModuleType

import numpy as np

from .images import READS_LABELS, ImageFileError, checking_images

_ADVICE = 'replace the file, or leave the image out of the data set'


@dataclass
class Classes:
    """The classes of a data set: which labels there may be.

    Args:
        dataset (str): What the data set is called.
        number (int): Number of classes.
        ignored (int, optional): A label of no class. Defaults to None: there
            is none.
    """

    dataset: str
    number: int
    ignored: int | None = None

    def fault_of(self, labels: np.ndarray) -> str:
        """What is wrong with labels.

        Args:
            labels (np.ndarray): Integers, any shape.

        Returns:
            str: A sentence; nothing if all are of a class, or ignored.

        Example:
            >>> Classes('Digits', 10, ignored=255).fault_of(np.array([3, 12]))
            'label 12 is of none of the 10 classes of Digits: they are 0 to 9,
            or 255 for none; see its metainfo.classes and reduce_zero_label'
        """
        wrong = labels >= self.number
        if labels.dtype != np.uint8:
            wrong |= labels < 0
        if self.ignored is not None:
            wrong &= labels != self.ignored
        if not wrong.any():
            return ''
        text = (f'label {labels[wrong][0]} is of none of the {self.number} '
                f'classes of {self.dataset}: they are 0 to {self.number - 1}')
        if self.ignored is None:
            return f'{text}; see its metainfo.classes'
        return (f'{text}, or {self.ignored} for none; see its '
                'metainfo.classes and reduce_zero_label')


#: Of the data set that loads a map of labels now, if it has such.
CLASSES: ContextVar[Classes | None] = ContextVar('CLASSES', default=None)


def check_loading(module: ModuleType) -> None:
    """Let the loading transforms of a module check what they read, once.

    Args:
        module (ModuleType): ``loading`` of mmcv, mmdet or mmseg.
    """
    mmcv = module.mmcv
    of_mmcv = module.__name__.startswith('mmcv.')  # keeps the file's type
    if not hasattr(mmcv.imfrombytes, 'of_mmsnn'):
        mmcv.imfrombytes = checking_images(mmcv.imfrombytes)
        mmcv.imfrombytes.of_mmsnn = True
    for kind in vars(module).values():
        if not isinstance(kind, type) or kind.__module__ != module.__name__:
            continue
        if kind.__name__ == 'LoadImageFromFile':
            kind.transform = naming_image(kind.transform)
        if '_load_seg_map' in vars(kind):
            kind._load_seg_map = checking_labels(
                kind._load_seg_map, as_bytes=not of_mmcv)


def naming_image(transform: Callable) -> Callable:
    """``LoadImageFromFile.transform`` that names a broken file.

    Args:
        transform (Callable): Upstream's.

    Returns:
        Callable: The same, but for the message of an error.
    """

    @wraps(transform)
    def named(self, results: dict) -> dict | None:
        try:
            return transform(self, results)
        except ImageFileError as error:
            raise ImageFileError(
                f'{results["img_path"]}: {error}; {_ADVICE}') from error

    return named


def checking_labels(load: Callable, as_bytes: bool) -> Callable:
    """``_load_seg_map`` that checks the map against the image.

    Args:
        load (Callable): Upstream's.
        as_bytes (bool): Whether it reads labels as bytes.

    Returns:
        Callable: The same, but for an error with the file's name where the
        map is broken, has several channels, another size than the image,
        or labels that are no bytes or of no class of the data set.
    """

    @wraps(load)
    def checked(self, results: dict) -> None:
        path, reads = results.get('seg_map_path'), READS_LABELS.set(as_bytes)
        try:
            load(self, results)
            labels, classes = results.get('gt_seg_map'), CLASSES.get()
            check_map(labels, results.get('ori_shape'))
            fault = ('' if classes is None or labels is None else
                     classes.fault_of(labels))
            if fault:
                raise ImageFileError(fault)
        except ImageFileError as error:
            raise ImageFileError(
                f'{path}, the labels of {results.get("img_path")}: {error}; '
                f'{_ADVICE}') from error
        finally:
            READS_LABELS.reset(reads)

    return checked


def check_map(labels: np.ndarray | None,
              shape: tuple[int, int] | None) -> None:
    """Check that a map has one label for each pixel of an image.

    Args:
        labels (np.ndarray, optional): The map; without one nothing is
            checked.
        shape (tuple[int, int], optional): Height and width of the image.

    Raises:
        ImageFileError: If it has not.

    Example:
        >>> check_map(np.zeros((2, 3), 'u1'), (2, 4))
        Traceback (most recent call last):
        mmsnn.data_files.images.ImageFileError: it has 3 x 2 pixels, but the
        image has 4 x 2
    """
    if labels is None:
        return
    if labels.ndim != 2:
        raise ImageFileError(
            f'it has {labels.shape[-1]} channels, but a map of labels has one')
    if shape is not None and labels.shape != tuple(shape[:2]):
        raise ImageFileError(
            f'it has {labels.shape[1]} x {labels.shape[0]} pixels, but the '
            f'image has {shape[1]} x {shape[0]}')
