"""Data sets say which file they can not read, and that they are empty."""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from .coco import reason
from .loading import CLASSES, Classes


def check_data_sets(module: ModuleType) -> None:
    """Let the base class of data sets check what it has read, once.

    Args:
        module (ModuleType): ``mmengine.dataset.base_dataset`` or
            ``mmdet.datasets.base_det_dataset``.
    """
    for name in ('BaseDataset', 'BaseDetDataset'):
        kind = vars(module).get(name)
        if kind is None or kind.__module__ != module.__name__:
            continue
        kind.full_init = naming_annotations(kind.full_init)
        if kind.__name__ == 'BaseDataset':
            kind.prepare_data = checking_labels(kind.prepare_data)
            kind._serialize_data = _not_of_nothing(kind._serialize_data)


def naming_annotations(full_init: Callable) -> Callable:
    """``full_init`` that names the annotation file, and refuses no images.

    Args:
        full_init (Callable): Upstream's.

    Returns:
        Callable: The same, but for these errors.
    """

    @wraps(full_init)
    def named(self) -> None:
        if self._fully_initialized:
            return
        try:
            full_init(self)
        except OSError as error:
            if error.filename is None:
                raise
            raise type(error)(
                error.errno, f'{error.strerror} ({_key(self)} of '
                f'{type(self).__name__})', error.filename) from error
        except (ArithmeticError, AssertionError, AttributeError, LookupError,
                TypeError, ValueError) as error:
            file = str(getattr(self, 'ann_file', '') or '')
            if file in str(error):  # it says so itself
                raise
            raise ValueError(f'{_source(self)} can not be read: '
                             f'{reason(error)}') from error
        if not len(self):
            raise ValueError(_nothing(self))

    return named


def _not_of_nothing(serialize: Callable) -> Callable:

    @wraps(serialize)
    def checked(self):
        if not self.data_list:
            raise ValueError(_nothing(self))
        return serialize(self)

    return checked


def _key(dataset: Any) -> str:
    return 'ann_file' if getattr(dataset, 'ann_file', '') else 'data_prefix'


def _source(dataset: Any) -> str:
    key = _key(dataset)
    value = getattr(dataset, key, None)
    if isinstance(value, dict):
        value = ', '.join(str(v) for v in value.values() if v)
    return f'{value or "?"} ({key} of {type(dataset).__name__})'


def _nothing(dataset: Any) -> str:
    """That a data set is empty, and why that may be."""
    causes = []
    if getattr(dataset, 'filter_cfg', None):
        causes.append(f'filter_cfg = {dict(dataset.filter_cfg)} leaves out '
                      'images, such as those without annotations of '
                      'metainfo.classes')
    if getattr(dataset, '_indices', None) is not None:
        causes.append(f'indices = {dataset._indices}')
    for key in ('img_suffix', 'extensions'):
        if hasattr(dataset, key) and _key(dataset) == 'data_prefix':
            causes.append(f'{key} = {getattr(dataset, key)!r}')
    return f'no image is left of {_source(dataset)}' + ''.join(
        f'; {cause}' for cause in causes)


def checking_labels(prepare_data: Callable) -> Callable:
    """``prepare_data`` that refuses labels that are of no class.

    Args:
        prepare_data (Callable): Upstream's.

    Returns:
        Callable: The same, but for that error. Maps of labels are checked
        where they are loaded, in bytes.
    """

    @wraps(prepare_data)
    def checked(self, idx: int) -> Any:
        # mmseg's know which label is of no class.
        names = self._metainfo.get('classes')
        kind, ignored = type(self).__name__, getattr(self, 'ignore_index', '')
        classes = None
        if names and isinstance(ignored, int):
            classes = Classes(kind, len(names), ignored)
        before = CLASSES.set(classes)
        try:
            data = prepare_data(self, idx)
        finally:
            CLASSES.reset(before)
        # mmpretrain's have one label an image, or some.
        sample = data.get('data_samples') if isinstance(data, dict) else None
        labels = getattr(sample, 'gt_label', None)
        if names and labels is not None and hasattr(labels, 'numpy'):
            fault = Classes(kind, len(names)).fault_of(labels.numpy())
            if fault:
                raise ValueError(
                    f'{sample.metainfo.get("img_path", _source(self))}: '
                    f'{fault}')
        return data

    return checked
