"""Recordings of event cameras, and frames of their events. NumPy only."""

from .array import EVENT, make_events
from .faults import EventFileError
from .frames import Bins, histogram, split, time_surface, voxel_grid
from .recording import Recording, read_events

__all__ = [
    'EVENT', 'Bins', 'EventFileError', 'Recording', 'histogram',
    'make_events', 'read_events', 'split', 'time_surface', 'voxel_grid'
]
