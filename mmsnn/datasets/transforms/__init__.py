"""Transforms of events; random ones draw from NumPy's global generator, as
mmcv's do, which mmengine seeds in every worker."""

from .augment import NeuromorphicAugment
from .frames import (
    EventFrames,
    EventHistogram,
    EventTimeSurface,
    EventVoxelGrid,
)
from .geometry import (
    CropEvents,
    DownsampleEvents,
    OrientEvents,
    RandomEventFlip,
)
from .loading import LoadEvents
from .packing import PackEventInputs
from .selection import (
    CropEventTime,
    EventPolarity,
    FilterHotPixels,
    RandomEventDrop,
)

__all__ = [
    'CropEventTime', 'CropEvents', 'DownsampleEvents', 'EventFrames',
    'EventHistogram', 'EventPolarity', 'EventTimeSurface', 'EventVoxelGrid',
    'FilterHotPixels', 'LoadEvents', 'NeuromorphicAugment', 'OrientEvents',
    'PackEventInputs', 'RandomEventDrop', 'RandomEventFlip'
]
