"""Data sets."""

from mmsnn.datasets.digit_events import digit_events, prepare_digit_events
from mmsnn.datasets.digit_scenes import digit_scenes, prepare_digit_scenes
from mmsnn.datasets.dvs_gesture import DVSGesture
from mmsnn.datasets.event_dataset import EventDataset, EventFolder
from mmsnn.datasets.event_detection import event_coco_dataset
from mmsnn.datasets.event_sets import CIFAR10DVS, HARDVS, NMNIST, NCaltech101
from mmsnn.datasets.events import Recording, read_events

__all__ = [
    'CIFAR10DVS', 'DVSGesture', 'EventDataset', 'EventFolder', 'HARDVS',
    'NCaltech101', 'NMNIST', 'Recording', 'digit_events', 'digit_scenes',
    'event_coco_dataset', 'prepare_digit_events', 'prepare_digit_scenes',
    'read_events'
]
