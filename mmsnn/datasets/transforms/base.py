"""Base classes and helpers of transforms of events."""

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

    A subclass says what happens in :meth:`_change`.
    """

    def transform(self, results: dict) -> dict | None:
        """Change a copy of the events of a sample.

        Args:
            results (dict): The sample, with the keys of the class.

        Returns:
            dict | None: The same sample; None where it is left out.

        Raises:
            ValueError: The sample does not fit; the message names its file.
        """
        # The array may be in use elsewhere.
        results['events'] = results['events'].copy()
        with naming_file(results):
            return self._change(results)

    @abstractmethod
    def _change(self, results: dict) -> dict | None:
        """Change a sample whose events may be written to.

        Args:
            results (dict): The sample.

        Returns:
            dict | None: The same sample; None where it is left out.
        """


@contextmanager
def naming_file(results: dict):
    """Let errors about a sample say which recording it is.

    Args:
        results (dict): The sample. Its file is ``events_path`` or
            ``img_path``.

    Yields:
        None: The block runs.

    Raises:
        ValueError: One was raised in the block; its message now begins with
            the file.

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
    """Note a new size of the sensor, for detectors too.

    Args:
        results (dict): The sample.
        width (int): Width, pixels.
        height (int): Height, pixels.

    Example:
        >>> sample = {}
        >>> set_size(sample, 4, 2)
        >>> sample
        {'sensor_size': (4, 2), 'img_shape': (2, 4)}
    """
    results['sensor_size'] = (width, height)
    results['img_shape'] = (height, width)


def flip(results: dict, direction: str) -> None:
    """Mirror events and boxes in place.

    Args:
        results (dict): The sample: ``events``, ``sensor_size`` and perhaps
            ``gt_bboxes``.
        direction (str): 'horizontal' or 'vertical'.

    Example:
        >>> events = np.array([(3, 0)], [('x', 'u2'), ('y', 'u2')])
        >>> flip(dict(events=events, sensor_size=(4, 2)), 'horizontal')
        >>> events['x']
        array([0], dtype=uint16)
    """
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

    Args:
        name (str): What it is called.
        value (float): Its value.
        least (float): Least valid value.
        most (float): Greatest valid value.

    Raises:
        ValueError: It is out of range.

    Example:
        >>> check_range('prob', 2, 0, 1)
        Traceback (most recent call last):
        ...
        ValueError: prob must be within 0 and 1, got 2
    """
    if not least <= value <= most:
        raise ValueError(
            f'{name} must be within {least} and {most}, got {value}')


def check_choice(name: str, value, valid: tuple) -> None:
    """Raise where a parameter is none of the valid ones.

    Args:
        name (str): What it is called.
        value (Any): Its value.
        valid (tuple): The valid values.

    Raises:
        ValueError: It is none of them.

    Example:
        >>> check_choice('by', 'hour', ('count', 'time'))
        Traceback (most recent call last):
        ...
        ValueError: by must be one of count, time, got 'hour'
    """
    if value not in valid:
        raise ValueError(
            f'{name} must be one of {", ".join(map(str, valid))}, '
            f'got {value!r}')


def random_start(most: int) -> int:
    """A random whole number, of NumPy's global generator.

    Args:
        most (int): The greatest.

    Returns:
        int: From 0 to ``most``.

    Example:
        >>> random_start(0)
        0
    """
    return int(np.random.randint(0, most + 1))
