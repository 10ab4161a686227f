"""Events to T frames."""

from abc import abstractmethod

import numpy as np

from mmsnn.datasets.events import (
    Bins,
    histogram,
    split,
    time_surface,
    voxel_grid,
)
from mmsnn.datasets.events.frames import BIN_BY
from mmsnn.registry import TRANSFORMS

from .base import ShownTransform, check_choice, naming_file


class EventFrames(ShownTransform):
    """Events to frames of T bins.

    Required Keys:

    - events
    - sensor_size

    Added Keys:

    - frames, (T, C, H, W), float32

    Deleted Keys:

    - events

    Args:
        bins (int, optional): T. None, with ``per_bin`` only: as many as the
            events fill.
        by (str): 'count': bins of equally many events, 'time': equally long
            ones. Defaults to 'count'.
        per_bin (int, optional): So many events, or us, a bin, from the first
            event on, see :func:`mmsnn.datasets.events.split`.
    """

    def __init__(self,
                 bins: int | None,
                 by: str = 'count',
                 per_bin: int | None = None) -> None:
        split(np.empty(0, [('t', 'i8')]), bins, by, per_bin)  # checks them
        self.bins = bins
        self.by = by
        self.per_bin = per_bin

    def transform(self, results: dict) -> dict:
        """Turn the events of a sample into frames."""
        events = results.pop('events')
        with naming_file(results):
            bins = split(events, self.bins, self.by, self.per_bin)
            results['frames'] = self.frames(
                events, bins, results['sensor_size'])
        return results

    @abstractmethod
    def frames(self, events: np.ndarray, bins: Bins,
               size: tuple[int, int]) -> np.ndarray:
        """Make the frames, (T, C, H, W)."""


@TRANSFORMS.register_module()
class EventHistogram(EventFrames):
    """Number of events of each bin, polarity and pixel.

    For keys and bins see :class:`EventFrames`.

    Args:
        bins (int, optional): See :class:`EventFrames`.
        by (str): See :class:`EventFrames`.
        per_bin (int, optional): See :class:`EventFrames`.
        channels (str): 'both': a channel each, darker first; 'sum' or
            'difference' (brighter less darker): one. Defaults to 'both'.
        max_count (float, optional): Greater numbers become this one.
    """

    def __init__(self,
                 bins: int | None,
                 by: str = 'count',
                 per_bin: int | None = None,
                 channels: str = 'both',
                 max_count: float | None = None) -> None:
        super().__init__(bins, by, per_bin)
        check_choice('channels', channels, ('both', 'sum', 'difference'))
        self.channels = channels
        self.max_count = max_count

    def frames(self, events: np.ndarray, bins: Bins,
               size: tuple[int, int]) -> np.ndarray:
        """Count."""
        frames = histogram(events, bins, size)
        if self.channels == 'sum':
            frames = frames.sum(1, keepdims=True)
        elif self.channels == 'difference':
            frames = frames[:, 1:] - frames[:, :1]
        if self.max_count is not None:
            frames = np.clip(frames, -self.max_count, self.max_count)
        return frames


@TRANSFORMS.register_module()
class EventVoxelGrid(EventFrames):
    """Each event shared by the two nearest of T times.

    For keys see :class:`EventFrames`, for the values
    :func:`mmsnn.datasets.events.voxel_grid`.

    Args:
        bins (int): T.
        polarities (bool): Whether each polarity has a channel of its own.
            Otherwise darker events count negatively. Defaults to False.
    """

    def __init__(self, bins: int, polarities: bool = False) -> None:
        super().__init__(bins, BIN_BY[1])
        self.polarities = polarities

    def frames(self, events: np.ndarray, bins: Bins,
               size: tuple[int, int]) -> np.ndarray:
        """Share out."""
        return voxel_grid(events, bins, size, self.polarities)


@TRANSFORMS.register_module()
class EventTimeSurface(EventFrames):
    """How long ago each pixel's latest event was, at the end of each bin.

    For keys and bins see :class:`EventFrames`, for the values
    :func:`mmsnn.datasets.events.time_surface`.

    Args:
        bins (int, optional): See :class:`EventFrames`.
        by (str): See :class:`EventFrames`; defaults to 'time' here.
        per_bin (int, optional): See :class:`EventFrames`.
        tau (float): Time constant, us. Defaults to 50 ms.
    """

    def __init__(self,
                 bins: int | None,
                 by: str = 'time',
                 per_bin: int | None = None,
                 tau: float = 50_000.) -> None:
        super().__init__(bins, by, per_bin)
        if tau <= 0:
            raise ValueError(f'tau must be above 0 us, got {tau}')
        self.tau = tau

    def frames(self, events: np.ndarray, bins: Bins,
               size: tuple[int, int]) -> np.ndarray:
        """Look back."""
        return time_surface(events, bins, size, self.tau)
