"""Data sets."""

from mmsnn.datasets.digit_scenes import digit_scenes, prepare_digit_scenes
from mmsnn.datasets.events import read_events

__all__ = ['digit_scenes', 'prepare_digit_scenes', 'read_events']
