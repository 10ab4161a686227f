"""Data sets of recordings with one label each."""

import logging
import os
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmsnn.datasets.events.faults import ON_ERROR, printable, shorten
from mmsnn.datasets.events.formats import READERS
from mmsnn.registry import DATASETS

#: Valid ``split``, unless a class has others.
SPLITS = ('train', 'test')


class EventDataset(BaseDataset):
    """Recordings with one label each.

    A sample has the keys ``events_path``, ``gt_label``, ``sensor_size`` (width
    and height, if the set has one) and, for a part of a recording,
    ``events_start`` and ``events_stop`` (us), as
    :class:`mmsnn.datasets.transforms.LoadEvents` reads them.

    Args:
        data_root (str): Folder of the set, see the subclass for its tree.
        split (str): 'train' or 'test'. Defaults to 'train'.
        on_error (str): What to do about a label without a file or a line that
            is no label: 'raise', or 'skip': leave it out, and log how many.
            Defaults to 'raise'.
        sensor_size (tuple[int, int], optional): Width and height of the
            sensor. Defaults to None: the set's own; for sets that have none,
            what the header of a recording says.
        **kwargs: Passed to mmengine's ``BaseDataset``, e.g. ``pipeline``.
            ``test_mode`` defaults to whether the split is not 'train'.

    Raises:
        ValueError: ``split``, ``on_error`` or ``sensor_size`` is not valid,
            or a key is given that would have no effect.
        FileNotFoundError: The folder, or a file with a label, is not there.
    """

    #: Width and height of the sensor.
    SENSOR: tuple[int, int] | None = None
    #: Valid ``split``.
    SPLITS: tuple[str, ...] = SPLITS
    #: Keys of ``BaseDataset`` that would have no effect.
    WITHOUT_EFFECT = ('ann_file', 'data_prefix', 'filter_cfg')

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 on_error: str = 'raise',
                 sensor_size: tuple[int, int] | None = None,
                 **kwargs) -> None:
        for key, value, valid in (('split', split, self.SPLITS),
                                  ('on_error', on_error, ON_ERROR)):
            if value not in valid:
                raise ValueError(f'{key} of {type(self).__name__} must be one '
                                 f'of {", ".join(valid)}, got {value!r}')
        for key in self.WITHOUT_EFFECT:
            if kwargs.get(key):
                raise ValueError(
                    f'{key} of {type(self).__name__} would have no effect: '
                    'what lies in data_root says which recordings there are, '
                    'and their labels')
        size = sensor_size or self.SENSOR
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f'sensor_size of {type(self).__name__} must be '
                             f'width and height, got {size!r}')
        self.split = split
        self.on_error = on_error
        self.sensor_size = size and tuple(size)
        self.skipped: list[str] = []
        kwargs.setdefault('test_mode', split != 'train')
        super().__init__(data_root=os.fspath(data_root), **kwargs)

    @abstractmethod
    def _samples(self, root: Path) -> Iterator[dict]:
        """Yield the samples of the split. Subclasses say how.

        Args:
            root (Path): Folder of the set.

        Yields:
            dict: ``events_path``, ``gt_label`` and, for a part of a recording,
            ``events_start`` and ``events_stop`` (us).
        """

    def load_data_list(self) -> list[dict]:
        """Find all samples, with whole paths.

        Returns:
            list[dict]: The samples, see the class for their keys.

        Raises:
            FileNotFoundError: There is no such folder, or it has no sample.
        """
        root = Path(self.data_root)
        if not root.is_dir():
            raise FileNotFoundError(
                f'data_root of {type(self).__name__}: there is no folder '
                f'{root}')
        data_list = []
        self.skipped = []
        for sample in self._samples(root):
            if self.sensor_size:
                sample['sensor_size'] = self.sensor_size
            data_list.append(sample)
        self.log_skipped()
        if not data_list:
            raise FileNotFoundError(
                f'{type(self).__name__} has no samples of split '
                f'{self.split!r} in {root}; see its documentation for the '
                'folders')
        return data_list

    def log_skipped(self) -> None:
        """Say how many samples were left out, and which was the first."""
        if self.skipped:
            print_log(
                f'{type(self).__name__}: {len(self.skipped)} samples left '
                f'out; the first: {self.skipped[0]}', logger='current',
                level=logging.WARNING)

    def wrong(self, kind: type[Exception], reason: str) -> None:
        """Raise, or note what is left out.

        Args:
            kind (type[Exception]): What to raise.
            reason (str): What is wrong, with file and line.

        Raises:
            Exception: Of that kind, if ``on_error`` is 'raise'.
        """
        if self.on_error == 'raise':
            raise kind(f"{printable(reason)} (on_error='skip' leaves it out)")
        self.skipped.append(reason)

    def file_of(self, stem: Path, label: str) -> Path | None:
        """The recording of a label, whatever its suffix.

        Args:
            stem (Path): The file, without a suffix or with.
            label (str): Where the label stands, for the error.

        Returns:
            Path | None: The file; None where it is left out.

        Raises:
            FileNotFoundError: There is none, if ``on_error`` is 'raise'.
        """
        for path in (stem, *(stem.with_name(stem.name + suffix)
                             for suffix in READERS)):
            if _is_file(path):
                return path
        self.wrong(FileNotFoundError,
                   f'{label} names {shorten(printable(str(stem)), 120)}, but '
                   'there is no such recording')
        return None

    @property
    def CLASSES(self) -> tuple[str, ...] | None:
        """Names of the classes."""
        return self.metainfo.get('classes')

    def get_cat_ids(self, idx: int) -> list[int]:
        """The label of a sample, as samplers ask for it.

        Args:
            idx (int): Index of the sample.

        Returns:
            list[int]: The label alone.
        """
        return [int(self.get_data_info(idx)['gt_label'])]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


@DATASETS.register_module()
class EventFolder(EventDataset):
    """A folder for each split, in it a folder of recordings for each class.

    .. code-block:: none

        data_root
        ├── train
        │   ├── class_a
        │   │   ├── one.raw             any format, see read_events
        │   │   └── any/folder/two.npz
        │   └── class_b ...
        └── test ...

    A folder of a split may also be called with a capital. Classes are the
    folders, in order of their names, unless ``metainfo`` or the class has
    ``classes``; then other folders are an error.

    Args:
        data_root (str): The folder.
        split (str): Any folder in it. Defaults to 'train'.
        suffixes (Sequence[str], optional): Only these files, e.g.
            ``('.raw', )``. By default every file with a known suffix.
        **kwargs: See :class:`EventDataset`.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ('cat', 'dog'):
        ...     (root / 'train' / name).mkdir(parents=True)
        ...     _ = (root / 'train' / name / 'a.bin').write_bytes(bytes(5))
        >>> dataset = EventFolder(root)
        >>> len(dataset), dataset.metainfo['classes']
        (2, ('cat', 'dog'))
        >>> dataset.get_data_info(1)['gt_label']
        1
    """

    def __init__(self, data_root: str, split: str = 'train', suffixes=None,
                 **kwargs) -> None:
        self.suffixes = tuple(suffixes or READERS)
        if type(self) is EventFolder:
            self.SPLITS = (split, )
        super().__init__(data_root, split, **kwargs)

    def folder(self, root: Path) -> Path:
        """The folder of the split.

        Args:
            root (Path): Folder of the set.

        Returns:
            Path: Its subfolder of the split's name, in small letters or with a
            capital.

        Raises:
            FileNotFoundError: There is neither.
        """
        folders = root / self.split, root / self.split.capitalize()
        for folder in folders:
            if folder.is_dir():
                return folder
        raise FileNotFoundError(
            f'{type(self).__name__}: there is neither {folders[0]} nor '
            f'{folders[1]}')

    def _samples(self, root: Path) -> Iterator[dict]:
        """Yield the files of each class, in order of their paths."""
        folder = self.folder(root)
        found = sorted(path.name for path in folder.iterdir()
                       if path.is_dir())
        classes = self.metainfo.get('classes') or tuple(found)
        self._metainfo['classes'] = classes
        for name in found:
            if name not in classes:
                self.wrong(ValueError,
                           f'{folder / name} is no folder of a class; classes '
                           f'are {", ".join(classes)}')
                continue
            for path in sorted((folder / name).rglob('*')):
                if path.suffix.lower() in self.suffixes and path.is_file():
                    yield dict(events_path=str(path),
                               gt_label=classes.index(name))
