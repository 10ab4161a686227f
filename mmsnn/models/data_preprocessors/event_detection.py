"""mmdet's preprocessor on frames of events; see event_det.py."""

from mmengine.model import BaseDataPreprocessor

from mmsnn.registry import MODELS


@MODELS.register_module(name='EventDetDataPreprocessor')
def event_det_data_preprocessor(**kwargs) -> BaseDataPreprocessor:
    """Build :class:`.event_det.EventDetDataPreprocessor`.

    Args:
        **kwargs: Its keys.

    Raises:
        ModuleNotFoundError: mmdet is not installed.
    """
    from .event_det import EventDetDataPreprocessor
    return EventDetDataPreprocessor(**kwargs)
