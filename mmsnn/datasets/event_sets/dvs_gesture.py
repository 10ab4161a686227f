"""DVS128 Gesture: gestures that follow each other in long recordings."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress

from mmsnn.datasets.events import EventFileError, Recording
from mmsnn.datasets.events.array import PACKED
from mmsnn.datasets.events.faults import quoted
from mmsnn.files import whole_file
from mmsnn.registry import DATASETS

from .base import EventDataset
from .labels import label_lines

_COLUMNS = ('class', 'startTime_usec', 'endTime_usec')


@DATASETS.register_module()
class DVSGesture(EventDataset):
    """DVS128 Gesture: 11 gestures of 29 people before a DVS128, 128x128.

    .. code-block:: none

        data_root (DvsGesture)
        ├── trials_to_train.txt
        ├── trials_to_test.txt
        ├── user01_fluorescent.aedat
        ├── user01_fluorescent_labels.csv
        └── ...

    A line of the CSV is a gesture: class (1 to 11), first and last time, us.
    Reading one out of the middle of a recording takes about as long as
    reading the recording up to there, so for training they are cut out once
    by ``tools/dataset_converters/dvs_gesture.py``:

    .. code-block:: none

        data_root
        ├── train
        │   ├── 01/user01_fluorescent_00.npy ...    class, recording, line
        │   └── ... 11
        └── test ...

    Args:
        data_root (str): The folder, in either form.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`mmsnn.datasets.event_sets.base.EventDataset`.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / 'test' / '04').mkdir(parents=True)
        >>> (root / 'test' / '04' / 'user24_led_03.npy').touch()
        >>> dataset = DVSGesture(root, 'test')
        >>> dataset.CLASSES[dataset.get_data_info(0)['gt_label']]
        'right arm clockwise'
    """

    METAINFO = dict(
        classes=('hand clapping', 'right hand wave', 'left hand wave',
                 'right arm clockwise', 'right arm counter clockwise',
                 'left arm clockwise', 'left arm counter clockwise',
                 'arm roll', 'air drums', 'air guitar', 'other gestures'))
    SENSOR = (128, 128)

    def _samples(self, root: Path) -> Iterator[dict]:
        """Yield the gestures, in order of recordings and time."""
        if (root / self.split).is_dir():
            for label in range(len(self.CLASSES)):
                for path in sorted(
                        (root / self.split / f'{label + 1:02d}').glob(
                            '*.npy')):
                    yield dict(events_path=str(path), gt_label=label)
            return
        trials = root / f'trials_to_{self.split}.txt'
        for number, line in enumerate(label_lines(trials), 1):
            if not line.strip():
                continue
            path = self.file_of(root / line.strip(),
                                f'{trials}, line {number}')
            if path is not None:
                yield from self._gestures(path)

    def _gestures(self, path: Path) -> Iterator[dict]:
        labels = path.with_name(f'{path.stem}_labels.csv')
        if not labels.is_file():
            self.wrong(FileNotFoundError,
                       f'{path} has no labels, there is no {labels}')
            return
        try:
            rows = csv.DictReader(label_lines(labels))
            names = rows.fieldnames or []
            gestures = [(rows.line_num, row) for row in rows]
        except (EventFileError, csv.Error) as error:
            named = isinstance(error, EventFileError)
            self.wrong(EventFileError,
                       str(error) if named else f'{labels}: {error}')
            return
        if not set(_COLUMNS) <= set(names):
            self.wrong(ValueError, f'{labels}, line 1: columns must be '
                       f'{", ".join(_COLUMNS)}, got {quoted(names)}')
            return
        for number, row in gestures:
            try:
                label, start, stop = (int(row[key]) for key in _COLUMNS)
            except (TypeError, ValueError):
                label = start = stop = 0
            if not 1 <= label <= len(self.CLASSES) or not (
                    0 <= start < stop < 1 << 63):
                self.wrong(
                    ValueError, f'{labels}, line {number}: a class of 1 to '
                    f'{len(self.CLASSES)} and a start before the end are '
                    f'needed, got {quoted(list(row.values()))}')
                continue
            yield dict(events_path=str(path), gt_label=label - 1,
                       events_start=start, events_stop=stop)


def cut_gestures(source: str | os.PathLike, target: str | os.PathLike,
                 on_error: str = 'raise') -> int:
    """Write each gesture into a file of its own, with progress.

    Files that are there already stay, so that an interrupted run can be
    repeated; each is written under a temporary name first.

    Args:
        source (str | os.PathLike): The set as it is distributed.
        target (str | os.PathLike): The folder to write.
        on_error (str): 'raise', or 'skip' wrong labels and what is wrong in
            recordings. Defaults to 'raise'.

    Returns:
        int: Number of gestures written now.
    """
    written = 0
    for split in DVSGesture.SPLITS:
        gestures: dict[str, list] = {}
        dataset = DVSGesture(source, split, on_error)
        dataset.skipped.clear()  # it has logged those
        for i in range(len(dataset)):
            sample = dataset.get_data_info(i)
            sofar = gestures.setdefault(sample['events_path'], [])
            folder = Path(target, split, f'{sample["gt_label"] + 1:02d}')
            name = f'{Path(sample["events_path"]).stem}_{len(sofar):02d}.npy'
            sofar.append((folder / name, sample))
        print(f'DVS128 Gesture, {split}: {len(dataset)} gestures in '
              f'{len(gestures)} recordings')
        for path, some in track_iter_progress(
                (list(gestures.items()), len(gestures))):
            todo = [(out, sample) for out, sample in some if not out.exists()]
            if todo:
                events = Recording(path, DVSGesture.SENSOR, on_error).read(
                    stop=max(sample['events_stop'] for _, sample in todo))
            for out, sample in todo:
                begin, end = np.searchsorted(
                    events['t'],
                    [sample['events_start'], sample['events_stop']])
                if begin == end:
                    dataset.wrong(
                        EventFileError,
                        f'{path}: no event of {sample["events_start"]} to '
                        f'{sample["events_stop"]} us, which are labelled')
                    continue
                with whole_file(out) as part:
                    np.save(part, events[begin:end].astype(PACKED))
                written += 1
        dataset.log_skipped()
    return written
