"""A second set of metrics that writes no file of the first."""

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.evaluator import BaseMetric, Evaluator

#: Words of an attribute that say that it is a place, and that it is written
#: to; both together make an output, such as ``outfile_prefix`` (COCO, LVIS,
#: panoptic, Cityscapes), ``output_dir`` (IoU, Cityscapes, depth, proposals),
#: ``out_file_path`` (dumped results), ``seg_out_dir`` and ``save_dir``.
_PLACES = {'dir', 'directory', 'file', 'folder', 'path', 'prefix', 'root'}
_WRITTEN = {
    'csv', 'dump', 'export', 'out', 'outfile', 'output', 'save', 'submission',
    'temp', 'tmp', 'write'
}
_BOTH = {'outdir', 'outfile', 'outpath', 'outprefix', 'savedir', 'savepath'}


def evaluator_with_own_files(
        evaluator: Evaluator,
        suffix: str) -> tuple[Evaluator, dict[str, str]]:
    """Copy an evaluator whose metrics write files, so that the copy's files
    do not replace those of the original.

    Outputs are told by the names of a metric's attributes, such as
    ``outfile_prefix`` or ``save_dir``. What lies below one of them, and
    temporary folders, are the copy's own, too.

    Args:
        evaluator (Evaluator): Stays as it is.
        suffix (str): What the names of the copy's files and folders have
            more, e.g. ``'_training_form'``.

    Returns:
        tuple[Evaluator, dict[str, str]]: The copy; and path of the original
        -> path of the copy, without temporary ones.

    Example:
        >>> class Saved(BaseMetric):
        ...     default_prefix = 'saved'
        ...     process = compute_metrics = dict
        >>> metric = Saved()
        >>> metric.save_path = 'a/preds.pkl'
        >>> other, moved = evaluator_with_own_files(
        ...     Evaluator(metric), '_training_form')
        >>> other.metrics[0].save_path
        'a/preds_training_form.pkl'
        >>> moved
        {'a/preds.pkl': 'a/preds_training_form.pkl'}
    """
    other = copy.deepcopy(evaluator)
    moved: dict[str, str] = {}
    for metric in _metrics(other):
        moved.update(_move(metric, suffix))
    return other, moved


def _metrics(holder: object) -> Iterator[BaseMetric]:
    """Metrics of an evaluator, also those that other metrics hold."""
    for value in list(vars(holder).values()):
        for x in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(x, (BaseMetric, Evaluator)):
                yield from _metrics(x)
                if isinstance(x, BaseMetric):
                    yield x


def _move(metric: BaseMetric, suffix: str) -> dict[str, str]:
    """Give a metric places of its own; returns those that will stay."""
    temporary = {}
    for name, value in list(vars(metric).items()):
        if isinstance(value, TemporaryDirectory):
            setattr(metric, name, TemporaryDirectory())
            temporary[value.name] = getattr(metric, name).name
    paths = {
        name: value
        for name, value in vars(metric).items()
        if isinstance(value, (str, Path)) and str(value)
    }
    moved: dict[str, str] = {}
    # What lies below another path comes behind it, being longer.
    for name, value in sorted(paths.items(), key=lambda x: len(str(x[1]))):
        old = str(value)
        new = _below(old, {**temporary, **moved})
        if not _is_output(name) and (new is None or os.path.isfile(old)):
            continue  # nothing, or what the metric reads
        if new is None:
            new = moved[old] = _beside(name, old, suffix)
        if os.path.isdir(os.path.expanduser(old)):
            os.makedirs(os.path.expanduser(new), exist_ok=True)
        setattr(metric, name, type(value)(new))
    return moved


def _is_output(name: str) -> bool:
    words = set(name.lower().strip('_').split('_'))
    return bool(words & _BOTH or (words & _PLACES and words & _WRITTEN))


def _below(path: str, moved: dict[str, str]) -> str | None:
    """Where a path is now that begins with a path that was moved."""
    for old, new in moved.items():
        rest = path.removeprefix(old)
        if path.startswith(old) and (not rest or rest[0] in '/\\.'):
            return new + rest
    return None


def _beside(name: str, path: str, suffix: str) -> str:
    """The path of the copy: before the suffix of a file's name, at the end of
    a prefix's or a folder's."""
    path = path.rstrip('/\\') or path
    root, extension = os.path.splitext(path)
    if os.path.basename(path) in ('', '.', '..'):
        return os.path.join(path, suffix.strip('_'))
    if 'prefix' in name or 'dir' in name or os.path.isdir(path):
        root, extension = path, ''
    return root + suffix + extension
