"""Data sets."""

from mmsnn.datasets.digits.recordings import digit_events, prepare_digit_events
from mmsnn.datasets.digits.scenes import digit_scenes, prepare_digit_scenes
from mmsnn.datasets.event_sets.base import EventDataset, EventFolder
from mmsnn.datasets.event_sets.dvs_gesture import DVSGesture
from mmsnn.datasets.event_sets.gen1 import event_coco_dataset
from mmsnn.datasets.event_sets.public import (
    CIFAR10DVS,
    HARDVS,
    NMNIST,
    NCaltech101,
)
from mmsnn.datasets.events import Recording, read_events

__all__ = [
    'CIFAR10DVS', 'DVSGesture', 'EventDataset', 'EventFolder', 'HARDVS',
    'NCaltech101', 'NMNIST', 'Recording', 'digit_events', 'digit_scenes',
    'event_coco_dataset', 'prepare_digit_events', 'prepare_digit_scenes',
    'read_events'
]
