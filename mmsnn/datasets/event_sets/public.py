"""Public sets of recordings with one label each."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmsnn.datasets.events.faults import quoted
from mmsnn.datasets.events.formats import READERS
from mmsnn.registry import DATASETS

from .base import EventDataset, EventFolder
from .labels import label_lines


@DATASETS.register_module()
class NMNIST(EventFolder):
    """N-MNIST: digits of MNIST before a moving ATIS camera, 34x34.

    .. code-block:: none

        data_root
        ├── Train                       60,000
        │   ├── 0/00002.bin ...
        │   └── 9 ...
        └── Test                        10,000

    Args:
        data_root (str): The folder.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`mmsnn.datasets.event_sets.base.EventDataset`.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / 'Test' / '7').mkdir(parents=True)
        >>> _ = (root / 'Test' / '7' / '00001.bin').write_bytes(bytes(5))
        >>> sample = NMNIST(root, 'test').get_data_info(0)
        >>> sample['gt_label'], sample['sensor_size']
        (7, (34, 34))
    """

    METAINFO = dict(classes=tuple('0123456789'))
    SENSOR = (34, 34)


@DATASETS.register_module()
class NCaltech101(EventDataset):
    """N-Caltech101: images of Caltech101 before a moving ATIS camera.

    .. code-block:: none

        data_root
        ├── BACKGROUND_Google/image_0001.bin ...
        ├── Faces_easy ...
        └── ...                         101 folders, 8,709 recordings

    There is no official split: of each class, ``test_ratio`` of the
    recordings, chosen by ``seed``, are the test set.

    Args:
        data_root (str): The folder of the classes.
        split (str): 'train' or 'test'. Defaults to 'train'.
        test_ratio (float): Defaults to 0.1.
        seed (int): Defaults to 0.
        **kwargs: See :class:`mmsnn.datasets.event_sets.base.EventDataset`.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / 'ant').mkdir()
        >>> for number in range(20):
        ...     _ = (root / 'ant' / f'{number}.bin').write_bytes(bytes(5))
        >>> len(NCaltech101(root)), len(NCaltech101(root, 'test'))
        (18, 2)
    """

    SENSOR = (240, 180)

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 test_ratio: float = 0.1,
                 seed: int = 0,
                 **kwargs) -> None:
        if not 0 < test_ratio < 1:
            raise ValueError('test_ratio of NCaltech101 must be within 0 and '
                             f'1, got {test_ratio}')
        self.test_ratio = test_ratio
        self.seed = seed
        super().__init__(data_root, split, **kwargs)

    def _samples(self, root: Path) -> Iterator[dict]:
        """Yield the split's part of each class."""
        names = sorted(path.name for path in root.iterdir() if path.is_dir())
        self._metainfo.setdefault('classes', tuple(names))
        for label, name in enumerate(names):
            paths = sorted(path for path in (root / name).iterdir()
                           if path.suffix.lower() in READERS)
            order = np.random.default_rng((self.seed, label)).permutation(
                len(paths))
            tests = set(order[:round(len(paths) * self.test_ratio)].tolist())
            for index, path in enumerate(paths):
                if (index in tests) == (self.split == 'test'):
                    yield dict(events_path=str(path), gt_label=label)


@DATASETS.register_module()
class CIFAR10DVS(EventDataset):
    """CIFAR10-DVS: images of CIFAR-10 that move before a DVS128, 128x128.

    .. code-block:: none

        data_root
        ├── airplane/cifar10_airplane_0.aedat ... cifar10_airplane_999.aedat
        └── ...                         10 folders, 10,000 recordings

    There is no official split. As usual since TEBN (NeurIPS 2022), the
    recordings 0 to 99 of each class are the test set; accuracies are higher
    than on a random tenth.

    The images lie on their side. ``OrientEvents(transpose=True,
    flip_y=True)`` puts them as SpikingJelly does, and
    ``EventPolarity('swap')`` gives its polarities.

    Args:
        data_root (str): The folder of the classes.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`mmsnn.datasets.event_sets.base.EventDataset`.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in CIFAR10DVS.METAINFO['classes']:
        ...     (root / name).mkdir()
        >>> for number in (99, 100):
        ...     file = root / 'deer' / f'cifar10_deer_{number}.aedat'
        ...     file.touch()
        >>> CIFAR10DVS(root, 'test').get_data_info(0)['gt_label']
        4
    """

    METAINFO = dict(classes=('airplane', 'automobile', 'bird', 'cat', 'deer',
                             'dog', 'frog', 'horse', 'ship', 'truck'))
    SENSOR = (128, 128)
    #: Recordings of each class that are for testing, from number 0 on.
    TEST = 100

    def _samples(self, root: Path) -> Iterator[dict]:
        """Yield the split's numbers of each class."""
        for label, name in enumerate(self.metainfo['classes']):
            folder = root / name
            if not folder.is_dir():
                self.wrong(FileNotFoundError,
                           f'CIFAR10DVS: there is no folder {folder}')
                continue
            numbered = []
            for path in folder.iterdir():
                number = re.search(r'_(\d+)$', path.stem)
                if number is None:
                    self.wrong(ValueError,
                               f'{path} does not end in a number')
                    continue
                numbered.append((int(number[1]), path))
            for number, path in sorted(numbered):
                if (number < self.TEST) == (self.split == 'test'):
                    yield dict(events_path=str(path), gt_label=label)


@DATASETS.register_module()
class HARDVS(EventDataset):
    """HARDVS: 300 human actions before a DAVIS346, 346x260.

    .. code-block:: none

        data_root
        ├── train_label.txt
        ├── val_label.txt
        ├── test_label.txt
        ├── action_001/dvSave-2021_10_15_19_18_02.npz ...
        └── ... action_300

    The split files are the official ones. A line begins with the path of a
    recording without its suffix, e.g. ``action_001/dvSave-2021_...``; the
    label is the number of the action less 1, whatever else the line has.

    Args:
        data_root (str): The folder.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`mmsnn.datasets.event_sets.base.EventDataset`.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / 'action_003').mkdir()
        >>> (root / 'action_003' / 'one.npz').touch()
        >>> _ = (root / 'val_label.txt').write_text('action_003/one 2')
        >>> HARDVS(root, 'val').get_data_info(0)['gt_label']
        2
    """

    METAINFO = dict(
        classes=tuple(f'action_{number:03d}' for number in range(1, 301)))
    SENSOR = (346, 260)
    SPLITS = ('train', 'val', 'test')

    def _samples(self, root: Path) -> Iterator[dict]:
        """Yield the recordings of the split's file, in its order."""
        file = root / f'{self.split}_label.txt'
        labels = {name: i for i, name in enumerate(self.metainfo['classes'])}
        for number, line in enumerate(label_lines(file), 1):
            if not line.strip():
                continue
            name = line.split()[0]
            where = f'{file}, line {number}'
            action = name.rpartition('/')[0].rpartition('/')[2]
            if action not in labels:
                self.wrong(ValueError, f'{where}: {quoted(name)} is in no '
                           'folder action_001 to action_300')
                continue
            path = self.file_of(root / name, where)
            if path is not None:
                yield dict(events_path=str(path), gt_label=labels[action])
