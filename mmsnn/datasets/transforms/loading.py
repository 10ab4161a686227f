"""The transform that reads the events of a sample."""

import logging

from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from mmsnn.datasets.events import EventFileError, Recording
from mmsnn.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadEvents(BaseTransform):
    """Read the events of a sample.

    Required Keys:

    - events_path, or img_path as data sets of images have it
    - events_start (optional, us)
    - events_stop (optional, us)
    - sensor_size (optional)

    Added Keys:

    - events
    - sensor_size
    - img_shape
    - ori_shape
    - scale_factor

    Args:
        size (tuple[int, int], optional): Width and height of the sensor.
            Otherwise the data set's, otherwise the file's header's.
        on_error (str): 'raise', or 'skip': what can be left out of a
            recording is (see
            :class:`mmsnn.datasets.events.recording.Recording`), and a sample
            that cannot be read, or has no events at all, is left out as a
            whole, for which a data set in training takes another one. Both
            are counted and logged. Defaults to 'raise'.

    Raises:
        mmsnn.datasets.events.EventFileError: The recording has a fault; the
            message names it.
        FileNotFoundError: There is no such file.
        ValueError: The size of the sensor is not known.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / 'one.bin'
        >>> _ = path.write_bytes(bytes([3, 7, 128, 1, 0]))
        >>> LoadEvents(size=(8, 8))(dict(events_path=path))['events'].tolist()
        [(256, 3, 7, 1)]
    """

    def __init__(self,
                 size: tuple[int, int] | None = None,
                 on_error: str = 'raise') -> None:
        self.size = size
        self.on_error = on_error
        self.samples = self.skipped = 0

    def transform(self, results: dict) -> dict | None:
        """Read the events of a sample.

        Args:
            results (dict): The sample, with the keys of the class.

        Returns:
            dict | None: The same, with events; None where it is left out.

        Raises:
            mmsnn.datasets.events.EventFileError: The recording has a fault.
            FileNotFoundError: There is no such file.
            ValueError: The size of the sensor is not known.
        """
        path = results.get('events_path') or results['img_path']
        self.samples += 1
        try:
            recording = Recording(
                path, self.size or results.get('sensor_size'), self.on_error)
            events = recording.read(
                results.get('events_start'), results.get('events_stop'))
            if not len(events) and results.get('events_start') is None:
                raise recording.faults.error('it has no event')
        except (EventFileError, FileNotFoundError) as error:
            if self.on_error == 'raise':
                raise
            self.skipped += 1
            print_log(
                f'{error}: {self.skipped} of {self.samples} recordings left '
                'out so far', logger='current', level=logging.WARNING)
            return None
        if recording.size is None:
            raise ValueError(
                f'{path}: the size of the sensor is not in the file; set '
                'size=(WIDTH, HEIGHT) of LoadEvents or sensor_size of the '
                'data set')
        width, height = recording.size
        results['events'] = events
        results['sensor_size'] = (width, height)
        results['img_shape'] = results['ori_shape'] = (height, width)
        results['scale_factor'] = (1., 1.)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(size={self.size}, '
                f'on_error={self.on_error!r})')
