"""Gen1, the detection set of Prophesee, as COCO for mmdet."""

import os
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.utils import track_iter_progress

from mmsnn.datasets.events.faults import Faults
from mmsnn.datasets.events.formats.columns import whole_numbers
from mmsnn.datasets.events.formats.npy import find_structured
from mmsnn.datasets.events.formats.reader import check_regular, read_elements
from mmsnn.files import dump_json
from mmsnn.registry import DATASETS

#: Classes of Gen1, in order of ``class_id``.
GEN1_CLASSES = ('car', 'pedestrian')
GEN1_SENSOR = (304, 240)
SPLITS = ('train', 'val', 'test')


@DATASETS.register_module(name='EventCocoDataset')
def event_coco_dataset(**kwargs) -> BaseDataset:
    """Build :class:`mmsnn.datasets.event_sets.coco.EventCocoDataset`.

    Prophesee's Gen1 set (304x240, cars and pedestrians) has this tree, to
    which ``tools/dataset_converters/gen1.py`` adds the annotations:

    .. code-block:: none

        data_root
        ├── annotations/instances_{train,val,test}.json
        ├── train
        │   ├── 17-03-30_12-53-58_1037500000_1097500000_td.dat
        │   ├── 17-03-30_12-53-58_1037500000_1097500000_bbox.npy
        │   └── ...
        ├── val ...
        └── test ...

    Args:
        **kwargs: Of ``mmdet.CocoDataset``, e.g. ``data_root``, ``ann_file``,
            ``pipeline``. ``metainfo`` defaults to the classes of Gen1.

    Returns:
        BaseDataset: The data set.

    Raises:
        ModuleNotFoundError: mmdet is not installed.

    Example:
        In a config::

            dict(type='mmsnn.EventCocoDataset', data_root='data/gen1',
                 ann_file='annotations/instances_train.json')
    """
    from .coco import EventCocoDataset
    kwargs.setdefault('data_prefix', dict(img=''))
    metainfo = dict(
        classes=GEN1_CLASSES, palette=[(31, 119, 180), (255, 127, 14)])
    metainfo.update(kwargs.pop('metainfo', None) or {})
    return EventCocoDataset(metainfo=metainfo, **kwargs)


def convert_gen1(root: str | os.PathLike,
                 window: int = 50_000,
                 min_side: float = 10.,
                 min_diagonal: float = 30.,
                 skip: int = 500_000) -> list[Path]:
    """Write the boxes of Gen1 as COCO, with progress.

    Each time at which a recording has boxes becomes an image: the window of
    events that ends there. A split whose file is there already stays, so
    that an interrupted run can be repeated; each is written under a temporary
    name first.

    Args:
        root (str | os.PathLike): The set, see :func:`event_coco_dataset`.
        window (int): Length of the window, us. Defaults to 50 ms.
        min_side (float): Least side of a box, pixels; smaller ones are left
            out, as Prophesee's evaluation does. Defaults to 10.
        min_diagonal (float): Least diagonal of a box, pixels. Defaults to 30.
        skip (int): Leave out boxes before this time, us. Defaults to 0.5 s.

    Returns:
        list[Path]: The files written now.

    Raises:
        FileNotFoundError: A recording or its boxes are missing.
        EventFileError: A file of boxes is not as it should be.
    """
    root = Path(root)
    written = []
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if not splits:
        raise FileNotFoundError(f'{root} has none of the folders '
                                f'{", ".join(SPLITS)}')
    for split in splits:
        out = root / 'annotations' / f'instances_{split}.json'
        if out.exists():
            print(f'{out} is there already')
            continue
        content = dict(
            info=dict(window=window, min_side=min_side,
                      min_diagonal=min_diagonal, skip=skip),
            images=[],
            annotations=[],
            categories=[
                dict(id=i + 1, name=name)
                for i, name in enumerate(GEN1_CLASSES)
            ])
        files = sorted((root / split).rglob('*_bbox.npy'))
        if not files:
            raise FileNotFoundError(f'{root / split} has no *_bbox.npy')
        print(f'Gen1, {split}: boxes of {len(files)} recordings')
        for file in track_iter_progress(files):
            recording = file.with_name(
                file.name.removesuffix('_bbox.npy') + '_td.dat')
            if not recording.is_file():
                raise FileNotFoundError(f'{file} has boxes of {recording}, '
                                        'but there is no such recording')
            boxes = read_boxes(file)
            side = np.minimum(boxes['w'], boxes['h'])
            diagonal = np.hypot(boxes['w'], boxes['h'])
            boxes = boxes[(side >= min_side) & (diagonal >= min_diagonal) &
                          (boxes['t'] >= skip)]
            _add(content, recording.relative_to(root).as_posix(), boxes,
                 window)
        dump_json(out, content, indent=None)
        written.append(out)
    return written


def read_boxes(path: Path) -> np.ndarray:
    """Boxes of a recording of Gen1, cut to the sensor.

    Args:
        path (Path): A structured array with ``ts`` or ``t`` (us), ``x``,
            ``y`` (upper left corner), ``w``, ``h`` (pixels) and ``class_id``.

    Returns:
        np.ndarray: Fields ``t``, ``x``, ``y``, ``w``, ``h`` and ``class_id``,
        in order of time.

    Raises:
        EventFileError: The file is not so.
    """
    faults = Faults(path, 'raise')
    check_regular(path, faults)
    kind, count, at = find_structured(path, faults)
    names = kind.names
    time = 'ts' if 'ts' in names else 't'
    lost = [key for key in (time, 'x', 'y', 'w', 'h', 'class_id')
            if key not in names]
    if lost:
        raise faults.error(f'no field {", ".join(lost)} among '
                           f'{", ".join(names)}')
    raw = read_elements(path, kind, at, 0, count, faults)
    for key in (time, 'x', 'y', 'w', 'h', 'class_id'):
        if kind[key].kind not in 'iuf':
            raise faults.error(f'{key} must be a real number, got {kind[key]}')
        wrong = ~np.isfinite(raw[key])
        if wrong.any():
            i = int(wrong.argmax())
            raise faults.error(f'{key} {raw[key][i]} of box {i} is no number')
    wrong = ~np.isin(raw['class_id'], range(len(GEN1_CLASSES)))
    if wrong.any():
        i = int(wrong.argmax())
        raise faults.error(f'class_id {raw["class_id"][i]} of box {i}; '
                           f'valid are 0 ({GEN1_CLASSES[0]}) and 1 '
                           f'({GEN1_CLASSES[1]})')
    boxes = np.empty(len(raw), [('t', 'i8'), ('x', 'f8'), ('y', 'f8'),
                                ('w', 'f8'), ('h', 'f8'), ('class_id', 'i8')])
    boxes['t'] = whole_numbers(raw[time], time, faults, 'box')
    boxes['class_id'] = raw['class_id']
    for start, length, most in zip('xy', 'wh', GEN1_SENSOR):
        begin = np.clip(raw[start].astype('f8'), 0, most)
        end = np.clip(raw[start].astype('f8') + raw[length], 0, most)
        boxes[start], boxes[length] = begin, end - begin
    return boxes[np.argsort(boxes['t'], kind='stable')]


def _add(content: dict, name: str, boxes: np.ndarray, window: int) -> None:
    """Add a recording's images and boxes."""
    for t in np.unique(boxes['t']).tolist():
        image = len(content['images']) + 1
        content['images'].append(
            dict(
                id=image,
                file_name=name,
                width=GEN1_SENSOR[0],
                height=GEN1_SENSOR[1],
                events_start=t - window,
                events_stop=t))
        for box in boxes[boxes['t'] == t]:
            x, y, w, h = (float(box[key]) for key in 'xywh')
            content['annotations'].append(
                dict(
                    id=len(content['annotations']) + 1,
                    image_id=image,
                    category_id=int(box['class_id']) + 1,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0))
