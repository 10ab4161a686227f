"""Data sets."""

from mmsnn.datasets.digit_scenes import digit_scenes, prepare_digit_scenes

__all__ = ['digit_scenes', 'prepare_digit_scenes']
