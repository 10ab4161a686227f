from .event import EventDataPreprocessor
from .event_detection import event_det_data_preprocessor

__all__ = ['EventDataPreprocessor', 'event_det_data_preprocessor']
