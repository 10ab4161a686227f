"""Preprocessors of batches.

In: frames of events, (T, C, H, W) each. Out: padded batches (N, T, C, H, W).
"""

from .event import EventDataPreprocessor, event_det_data_preprocessor

__all__ = ['EventDataPreprocessor', 'event_det_data_preprocessor']
