"""Transforms that move events: turn, flip, crop, downsample."""

from collections.abc import Sequence

import numpy as np

from mmsnn.registry import TRANSFORMS

from .base import (
    EventTransform,
    check_choice,
    check_range,
    flip,
    random_start,
    set_size,
)

_DIRECTIONS = ('horizontal', 'vertical')


@TRANSFORMS.register_module()
class OrientEvents(EventTransform):
    """Turn the sensor: first transpose, then flip. Boxes cannot be turned.

    Modified Keys:

    - events
    - sensor_size
    - img_shape

    Args:
        transpose (bool): Exchange columns and rows. Defaults to False.
        flip_x (bool): Mirror the columns. Defaults to False.
        flip_y (bool): Mirror the rows. Defaults to False.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events([5], [3], [1], [1]),
        ...               sensor_size=(4, 2))
        >>> sample = OrientEvents(transpose=True)(sample)
        >>> sample['events'].tolist(), sample['sensor_size']
        ([(5, 1, 3, 1)], (2, 4))
    """

    def __init__(self,
                 transpose: bool = False,
                 flip_x: bool = False,
                 flip_y: bool = False) -> None:
        self.transpose = transpose
        self.flip_x = flip_x
        self.flip_y = flip_y

    def _change(self, results: dict) -> dict:
        """Turn a sample; one with boxes is an error."""
        if results.get('gt_bboxes') is not None:
            raise ValueError('OrientEvents cannot turn boxes; it must come '
                             'before LoadAnnotations')
        events = results['events']
        width, height = results['sensor_size']
        if self.transpose:
            events['x'], events['y'] = events['y'].copy(), events['x'].copy()
            width, height = height, width
            set_size(results, width, height)
            results['ori_shape'] = (height, width)
        if self.flip_x:
            flip(results, 'horizontal')
        if self.flip_y:
            flip(results, 'vertical')
        return results


@TRANSFORMS.register_module()
class RandomEventFlip(EventTransform):
    """Mirror events and boxes with some probability.

    Required Keys:

    - events
    - sensor_size
    - gt_bboxes (BaseBoxes, optional)

    Modified Keys:

    - events
    - gt_bboxes

    Added Keys:

    - flip
    - flip_direction

    Args:
        prob (float): Probability. Defaults to 0.5.
        direction (str): 'horizontal' or 'vertical'. Defaults to
            'horizontal'.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events([5], [3], [1], [1]),
        ...               sensor_size=(4, 2))
        >>> RandomEventFlip(prob=1.)(sample)['events'].tolist()
        [(5, 0, 1, 1)]
    """

    def __init__(self, prob: float = 0.5,
                 direction: str = 'horizontal') -> None:
        check_range('prob', prob, 0, 1)
        check_choice('direction', direction, _DIRECTIONS)
        self.prob = prob
        self.direction = direction

    def _change(self, results: dict) -> dict:
        """Mirror a sample with the probability ``prob``."""
        results['flip'] = bool(np.random.rand() < self.prob)
        results['flip_direction'] = self.direction if results['flip'] else None
        if results['flip']:
            flip(results, self.direction)
        return results


@TRANSFORMS.register_module()
class CropEvents(EventTransform):
    """Take a part of the sensor, and move boxes.

    Required Keys:

    - events
    - sensor_size
    - gt_bboxes (BaseBoxes, optional)
    - gt_bboxes_labels (optional)
    - gt_ignore_flags (optional)

    Modified Keys: all of them, and img_shape.

    Args:
        size (tuple[int, int]): Width and height of the part. A sensor that is
            smaller stays as it is, in that direction.
        random (bool): At a random place; otherwise in the middle. Defaults
            to True.
        allow_negative_crop (bool): Whether a part without any box is taken;
            otherwise such a sample is left out (None), for which a data set
            in training takes another one. Defaults to False.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events([5, 6], [0, 2], [1, 1], [1, 1]),
        ...               sensor_size=(4, 2))
        >>> sample = CropEvents((2, 2), random=False)(sample)
        >>> sample['events'].tolist(), sample['sensor_size']
        ([(6, 1, 1, 1)], (2, 2))
    """

    def __init__(self,
                 size: tuple[int, int],
                 random: bool = True,
                 allow_negative_crop: bool = False) -> None:
        if min(size) < 1:
            raise ValueError(f'size must be at least 1x1, got {size}')
        self.size = tuple(size)
        self.random = random
        self.allow_negative_crop = allow_negative_crop

    def _change(self, results: dict) -> dict | None:
        """Crop a sample; None where no box is left."""
        old = results['sensor_size']
        width, height = (min(a, b) for a, b in zip(self.size, old))
        room = old[0] - width, old[1] - height
        left, top = (random_start(r) if self.random else r // 2 for r in room)
        events = results['events']
        x, y = events['x'], events['y']
        inside = (x >= left) & (x < left + width) & (y >= top) & (
            y < top + height)
        events = events[inside]
        events['x'] -= left
        events['y'] -= top
        results['events'] = events
        set_size(results, width, height)
        boxes = results.get('gt_bboxes')
        if boxes is not None:
            boxes.translate_([-left, -top])
            boxes.clip_((height, width))
            kept = ((boxes.widths > 0) & (boxes.heights > 0)).numpy()
            if not kept.any() and not self.allow_negative_crop:
                return None
            for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
                if results.get(key) is not None:
                    results[key] = results[key][kept]
        return results


@TRANSFORMS.register_module()
class DownsampleEvents(EventTransform):
    """Merge pixels, so that the sensor has fewer and larger ones.

    Required Keys:

    - events
    - sensor_size
    - gt_bboxes (BaseBoxes, optional)

    Modified Keys:

    - events
    - sensor_size
    - img_shape
    - scale_factor
    - gt_bboxes

    Args:
        size (tuple[int, int], optional): New width and height, at most the
            old ones. Give this or ``factor``.
        factor (int, optional): What width and height are divided by; what a
            division leaves over becomes one more pixel.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events([5], [3], [1], [1]),
        ...               sensor_size=(4, 2))
        >>> sample = DownsampleEvents(factor=2)(sample)
        >>> sample['events'].tolist(), sample['sensor_size']
        ([(5, 1, 0, 1)], (2, 1))
    """

    def __init__(self,
                 size: Sequence[int] | None = None,
                 factor: int | None = None) -> None:
        if (size is None) == (factor is None):
            raise ValueError('DownsampleEvents takes either size or factor')
        if min(size or (factor, )) < 1:
            raise ValueError(f'size and factor must be at least 1, got '
                             f'{size or factor}')
        self.size = size and tuple(size)
        self.factor = factor

    def _change(self, results: dict) -> dict:
        """Divide the positions of a sample."""
        old = results['sensor_size']
        events = results['events']
        if self.factor:
            new = tuple(-(-side // self.factor) for side in old)
            scale = 1 / self.factor, 1 / self.factor
            for key in 'xy':
                events[key] //= self.factor
        else:
            new = self.size
            if new[0] > old[0] or new[1] > old[1]:
                raise ValueError(
                    f'size {new} of DownsampleEvents is larger than the '
                    f'sensor, {old}')
            scale = new[0] / old[0], new[1] / old[1]
            for key, a, b in zip('xy', new, old):
                events[key] = events[key].astype('i8') * a // b
        set_size(results, *new)
        before = results.get('scale_factor', (1., 1.))
        results['scale_factor'] = tuple(
            a * b for a, b in zip(before, scale))
        if results.get('gt_bboxes') is not None:
            results['gt_bboxes'].rescale_(scale)
        return results
