"""Transforms that turn events into T frames."""

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
    """Turns events into T frames, one a bin; a subclass says what they hold.

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
        by (str): 'count' makes bins of equally many events, 'time' equally
            long ones. Defaults to 'count'.
        per_bin (int, optional): Every bin has this many events, or lasts
            this many us, and the first one begins at the first event; see
            :func:`mmsnn.datasets.events.split`.
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
        """Turn the events of a sample into frames.

        Args:
            results (dict): The sample: ``events``, (N,), and ``sensor_size``.

        Returns:
            dict: The same, with ``frames``, (T, C, H, W), instead of
            ``events``.

        Raises:
            ValueError: An event is outside the sensor; the message names the
                file.
        """
        events = results.pop('events')
        with naming_file(results):
            bins = split(events, self.bins, self.by, self.per_bin)
            results['frames'] = self._frames(
                events, bins, results['sensor_size'])
        return results

    @abstractmethod
    def _frames(self, events: np.ndarray, bins: Bins,
               size: tuple[int, int]) -> np.ndarray:
        """Make the frames; a subclass says how.

        Args:
            events (np.ndarray): Events in order of time, (N,).
            bins (Bins): T bins.
            size (tuple[int, int]): Width and height of the sensor.

        Returns:
            np.ndarray: The frames, (T, C, H, W), float32.

        Raises:
            ValueError: An event is outside the sensor.
        """


@TRANSFORMS.register_module()
class EventHistogram(EventFrames):
    """Counts the events of each bin, polarity and pixel.

    For keys and bins see :class:`EventFrames`.

    Args:
        bins (int, optional): See :class:`EventFrames`.
        by (str): See :class:`EventFrames`.
        per_bin (int, optional): See :class:`EventFrames`.
        channels (str): 'both' gives each polarity a channel, darker first;
            'sum' and 'difference' (brighter minus darker) give one channel.
            Defaults to 'both'.
        max_count (float, optional): Greater counts become this one. Defaults
            to None: no limit.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events([0, 1], [0, 1], [0, 0], [1, 0]),
        ...               sensor_size=(2, 1))
        >>> EventHistogram(bins=2)(sample)['frames'].tolist()
        [[[[0.0, 0.0]], [[1.0, 0.0]]], [[[0.0, 1.0]], [[0.0, 0.0]]]]
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

    def _frames(self, events: np.ndarray, bins: Bins,
               size: tuple[int, int]) -> np.ndarray:
        """Count the events."""
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
    """Spreads each event over the two nearest of T times.

    For keys see :class:`EventFrames`, for the values
    :func:`mmsnn.datasets.events.voxel_grid`.

    Args:
        bins (int): T.
        polarities (bool): Whether each polarity has a channel of its own.
            Otherwise darker events count negatively. Defaults to False.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(
        ...     events=make_events([0, 1, 4], [0, 1, 0], [0] * 3, [1, 0, 1]),
        ...     sensor_size=(2, 1))
        >>> EventVoxelGrid(bins=3)(sample)['frames'].tolist()
        [[[[1.0, -0.5]]], [[[0.0, -0.5]]], [[[1.0, 0.0]]]]
    """

    def __init__(self, bins: int, polarities: bool = False) -> None:
        super().__init__(bins, BIN_BY[1])
        self.polarities = polarities

    def _frames(self, events: np.ndarray, bins: Bins,
               size: tuple[int, int]) -> np.ndarray:
        """Spread the events over the times of the grid."""
        return voxel_grid(events, bins, size, self.polarities)


@TRANSFORMS.register_module()
class EventTimeSurface(EventFrames):
    """Rates how recent each pixel's latest event is at the end of each bin.

    For keys and bins see :class:`EventFrames`, for the values
    :func:`mmsnn.datasets.events.time_surface`.

    Args:
        bins (int, optional): See :class:`EventFrames`.
        by (str): See :class:`EventFrames`; defaults to 'time' here.
        per_bin (int, optional): See :class:`EventFrames`.
        tau (float): Time constant, us. Defaults to 50 ms.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sample = dict(events=make_events([0, 3], [0, 1], [0, 0], [1, 1]),
        ...               sensor_size=(2, 1))
        >>> frames = EventTimeSurface(bins=1, tau=1.)(sample)['frames']
        >>> frames[0, 1].round(2)  # 4 us and 1 us before the end
        array([[0.02, 0.37]], dtype=float32)
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

    def _frames(self, events: np.ndarray, bins: Bins,
               size: tuple[int, int]) -> np.ndarray:
        """Compute how recent the latest events are."""
        return time_surface(events, bins, size, self.tau)
