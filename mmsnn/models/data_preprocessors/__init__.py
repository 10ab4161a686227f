from .event import EventDataPreprocessor, event_det_data_preprocessor

__all__ = ['EventDataPreprocessor', 'event_det_data_preprocessor']
