"""Geometric augmentation of events."""

from collections.abc import Sequence

import numpy as np

from mmsnn.registry import TRANSFORMS

from .base import EventTransform, check_choice, check_range, flip


@TRANSFORMS.register_module()
class NeuromorphicAugment(EventTransform):
    """Flip, then roll, rotate, shear or cut out, as one augmentation.

    A flip with probability 1/2, then ``num_ops`` different operations chosen
    at random, each with a random strength up to its greatest. What leaves the
    sensor is dropped, except by rolling, where it comes in on the other side.
    After Li et al., "Neuromorphic Data Augmentation for Training Spiking
    Neural Networks" (NDA), ECCV 2022; on events instead of frames, and without
    its mixing of samples. Boxes are not supported.

    Modified Keys:

    - events

    Args:
        num_ops (int): Operations of a sample, 0 to 4. Defaults to 1.
        magnitude (float): Factor on all greatest strengths. Defaults to 1.
        operations (Sequence[str]): What to choose from. Defaults to all.
        flip_prob (float): Probability of a horizontal flip. Defaults to 0.5.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> augment = NeuromorphicAugment(num_ops=0, flip_prob=1.)
        >>> sample = dict(events=make_events([5], [3], [1], [1]),
        ...               sensor_size=(4, 2))
        >>> augment(sample)['events'].tolist()  # mirrored only
        [(5, 0, 1, 1)]
    """

    #: Greatest strengths: fraction of the sides (roll, cutout), degrees
    #: (rotate), columns a row (shear).
    OPERATIONS = dict(roll=0.1, rotate=15., shear=0.15, cutout=0.25)

    def __init__(self,
                 num_ops: int = 1,
                 magnitude: float = 1.,
                 operations: Sequence[str] = tuple(OPERATIONS),
                 flip_prob: float = 0.5) -> None:
        for name in operations:
            check_choice('operations', name, tuple(self.OPERATIONS))
        check_range('num_ops', num_ops, 0, len(operations))
        check_range('flip_prob', flip_prob, 0, 1)
        check_range('magnitude', magnitude, 0, 4)
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.operations = tuple(operations)
        self.flip_prob = flip_prob

    def _change(self, results: dict) -> dict:
        """Flip a sample, and apply the chosen operations."""
        if results.get('gt_bboxes') is not None:
            raise ValueError('NeuromorphicAugment has no boxes; take '
                             'RandomEventFlip and CropEvents')
        if np.random.rand() < self.flip_prob:
            flip(results, 'horizontal')
        chosen = np.random.choice(
            len(self.operations), self.num_ops, replace=False)
        for index in chosen:
            name = self.operations[index]
            most = self.OPERATIONS[name] * self.magnitude
            results['events'] = getattr(self, f'_{name}')(
                results['events'], np.array(results['sensor_size']), most)
        return results

    def _roll(self, events, size, most):
        for key, side in zip('xy', size.tolist()):
            step = int(round(np.random.uniform(-most, most) * side))
            events[key] = (events[key].astype('i8') + step) % side
        return events

    def _rotate(self, events, size, most):
        angle = np.deg2rad(np.random.uniform(-most, most))
        cos, sin = np.cos(angle), np.sin(angle)
        return _move(events, size, np.array([[cos, -sin], [sin, cos]]))

    def _shear(self, events, size, most):
        shear = np.random.uniform(-most, most)
        return _move(events, size, np.array([[1, shear], [0, 1]]))

    def _cutout(self, events, size, most):
        sides = np.random.uniform(0, most) * size
        start = np.random.uniform(0, size) - sides / 2
        at = np.stack([events['x'], events['y']])
        inside = (at >= start[:, None]) & (at < (start + sides)[:, None])
        return events[~inside.all(0)]


def _move(events: np.ndarray, size: np.ndarray,
          matrix: np.ndarray) -> np.ndarray:
    """Map positions linearly about the middle of the sensor."""
    middle = (size[:, None] - 1) / 2
    at = matrix @ (np.stack([events['x'], events['y']]) - middle) + middle
    at = np.rint(at).astype('i8')
    inside = ((at >= 0) & (at < size[:, None])).all(0)
    events = events[inside]
    events['x'], events['y'] = at[:, inside]
    return events
