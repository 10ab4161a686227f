"""What transforms of events share."""

from abc import abstractmethod
from contextlib import contextmanager

import numpy as np
from mmcv.transforms import BaseTransform


class ShownTransform(BaseTransform):
    """A transform that shows its options."""

    def __repr__(self) -> str:
        options = ', '.join(f'{key}={value!r}'
                            for key, value in vars(self).items())
        return f'{type(self).__name__}({options})'


class EventTransform(ShownTransform):
    """Changes the events of a sample, and boxes with them.

    Required Keys:

    - events
    - sensor_size

    A subclass says what happens in :meth:`change`.
    """

    def transform(self, results: dict) -> dict | None:
        """Change the events of a sample in place."""
        # Others may hold the same array.
        results['events'] = results['events'].copy()
        with naming_file(results):
            return self.change(results)

    @abstractmethod
    def change(self, results: dict) -> dict | None:
        """Change a sample whose events may be written to."""


@contextmanager
def naming_file(results: dict):
    """Context in which errors about a sample say which recording it is.

    Raises:
        ValueError: One was raised; its message begins with the file.

    Example:
        >>> with naming_file(dict(events_path='a.bin')):
        ...     raise ValueError('too dark')
        Traceback (most recent call last):
        ...
        ValueError: a.bin: too dark
    """
    try:
        yield
    except ValueError as error:
        path = results.get('events_path') or results.get('img_path')
        if path is None:  # a sample that was made, not read
            raise
        raise ValueError(f'{path}: {error}') from error


def set_size(results: dict, width: int, height: int) -> None:
    """Note a new size of the sensor, for detectors too."""
    results['sensor_size'] = (width, height)
    results['img_shape'] = (height, width)


def flip(results: dict, direction: str) -> None:
    """Mirror events and boxes, 'horizontal' or 'vertical'."""
    width, height = results['sensor_size']
    events = results['events']
    if direction == 'horizontal':
        events['x'] = width - 1 - events['x']
    else:
        events['y'] = height - 1 - events['y']
    if results.get('gt_bboxes') is not None:
        results['gt_bboxes'].flip_((height, width), direction)


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Raise where a parameter is out of range.

    Raises:
        ValueError: It is not within ``least`` and ``most``.
    """
    if not least <= value <= most:
        raise ValueError(
            f'{name} must be within {least} and {most}, got {value}')


def check_choice(name: str, value, valid: tuple) -> None:
    """Raise where a parameter is none of the valid ones.

    Raises:
        ValueError: It is none of them.
    """
    if value not in valid:
        raise ValueError(
            f'{name} must be one of {", ".join(map(str, valid))}, '
            f'got {value!r}')


def random_start(most: int) -> int:
    """A random whole number from 0 to ``most``."""
    return int(np.random.randint(0, most + 1))
