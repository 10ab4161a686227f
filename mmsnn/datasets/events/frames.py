"""Frames of events: events are divided among T bins, then counted or timed."""

from dataclasses import dataclass

import numpy as np

from . import native
from .checks import count_faults, usable

#: Valid ``by``.
BIN_BY = ('count', 'time')


@dataclass(frozen=True)
class Bins:
    """Which events fall into which of T bins.

    Attributes:
        bounds (np.ndarray): Bin k has the events ``bounds[k]`` up to
            ``bounds[k + 1]``, (T + 1,), int64.
        edges (np.ndarray): It lasts from ``edges[k]`` up to ``edges[k + 1]``,
            us, (T + 1,), int64.

    Example:
        >>> bins = Bins(np.array([0, 2, 5]), np.array([0, 40, 90]))
        >>> len(bins)  # events 0 and 1, and events 2 to 4
        2
    """
    bounds: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds) - 1


def split(events: np.ndarray,
          bins: int | None,
          by: str = 'count',
          per_bin: int | None = None) -> Bins:
    """Divide events among T bins.

    Without ``per_bin``, all events are divided into bins of equally many
    events (by 'count') or equally long bins (by 'time'); what the division
    leaves over belongs to the last bin. These are the bins of SpikingJelly's
    ``split_by='number'`` and ``'time'``, of which the latter fails where a
    bin is empty.

    With ``per_bin``, each bin has so many events or lasts so many us, from
    the first event on. Later events are in no bin; missing bins are empty.

    Args:
        events (np.ndarray): Events in order of time, (N,).
        bins (int, optional): T. None (with ``per_bin`` only): as many as the
            events fill, the last one in part, but at least one.
        by (str): 'count' or 'time'. Defaults to 'count'.
        per_bin (int, optional): Events, or us, of a bin.

    Returns:
        Bins: The bins.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> events = make_events([0, 1, 2, 3, 9], *[[0] * 5] * 3)
        >>> split(events, 2).bounds, split(events, 2, 'time').bounds
        (array([0, 2, 5]), array([0, 4, 5]))
        >>> split(events, None, 'time', per_bin=3).bounds
        array([0, 3, 4, 4, 5])
    """
    if by not in BIN_BY:
        raise ValueError(f'by must be one of {", ".join(BIN_BY)}, got {by!r}')
    for name, value in (('bins', bins), ('per_bin', per_bin)):
        if value is not None and value < 1:
            raise ValueError(f'{name} must be at least 1, got {value}')
    if bins is None and per_bin is None:
        raise ValueError('bins may only be None with per_bin')
    t, n = events['t'], len(events)
    start = int(t[0]) if n else 0
    # The last bin ends 1 us after the last event, which lies in it.
    total = n if by == 'count' else int(t[-1]) - start + 1 if n else 0
    if bins is None:
        bins = max(1, -(-total // per_bin))
    steps = np.arange(bins + 1)
    if by == 'count':
        bounds = np.minimum(steps * (per_bin or n // bins), n)
        if per_bin is None:
            bounds[-1] = n
        if not n:
            return Bins(bounds, np.zeros_like(bounds))
        edges = t[np.minimum(bounds, n - 1)]
        edges[bounds == n] += 1
        return Bins(bounds, edges)
    edges = start + steps * (per_bin or max(total - 1, 0) // bins)
    if per_bin is None and n:
        edges[-1] = start + total
    return Bins(np.searchsorted(t, edges), edges)


def histogram(events: np.ndarray, bins: Bins,
              size: tuple[int, int]) -> np.ndarray:
    """Count the events of each bin, polarity and pixel.

    Args:
        events (np.ndarray): Events, (N,).
        bins (Bins): T bins, see :func:`split`.
        size (tuple[int, int]): Width and height of the sensor.

    Returns:
        np.ndarray: Counts, (T, 2, H, W), float32 (exact up to 2**24);
        channel 0 is darker (p = 0), 1 brighter.

    Raises:
        ValueError: An event is outside the sensor.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> events = make_events([0, 1, 2], [0, 0, 1], [0, 0, 0], [1, 1, 0])
        >>> histogram(events, split(events, 1), (2, 1)).tolist()
        [[[[0.0, 1.0]], [[2.0, 0.0]]]]
    """
    width, height = size
    library = native.load()
    if library is not None and usable(events):
        frames = np.zeros((len(bins), 2, height, width), np.float32)
        bounds = np.ascontiguousarray(bins.bounds, 'i8')
        if not 0 <= bounds.min() <= bounds.max() <= len(events):
            raise ValueError(f'bins of {len(events)} events, but bounds '
                             f'{bounds.tolist()}')
        at = library.events_histogram(events.ctypes.data, bounds.ctypes.data,
                                      len(bins), height, width,
                                      frames.ctypes.data)
        if at >= 0:
            check_inside(events[at:at + 1], size, at)
        return frames
    return histogram_numpy(events, bins, size)


def histogram_numpy(events: np.ndarray, bins: Bins,
                    size: tuple[int, int]) -> np.ndarray:
    """The definition of :func:`histogram`, used where there is no compiler.

    Args:
        events (np.ndarray): As in :func:`histogram`.
        bins (Bins): As in :func:`histogram`.
        size (tuple[int, int]): As in :func:`histogram`.

    Returns:
        np.ndarray: Counts, (T, 2, H, W), float32.

    Raises:
        ValueError: An event is outside the sensor.
    """
    width, height = size
    shape = (len(bins), 2, height, width)
    events, index = _in_bins(events, bins, size)
    index = (2 * index + (events['p'] > 0)) * height + events['y']
    index = index * width + events['x']
    counts = np.bincount(index, minlength=np.prod(shape))
    return counts.reshape(shape).astype(np.float32)


def voxel_grid(events: np.ndarray,
               bins: Bins,
               size: tuple[int, int],
               polarities: bool = False) -> np.ndarray:
    """Spread each event over the two nearest of T times.

    An event at ``t`` counts ``max(0, 1 - |k - t'|)`` at time k, with
    ``t' = (T - 1) (t - t_0) / (t_1 - t_0)`` for the first and the last
    event's times (Zhu et al., "Unsupervised Event-based Learning of Optical
    Flow, Depth, and Egomotion", CVPR 2019, eq. 1 and 2).

    Args:
        events (np.ndarray): Events, (N,).
        bins (Bins): T bins, of which all events are taken together.
        size (tuple[int, int]): Width and height of the sensor.
        polarities (bool): Whether each polarity has a channel of its own.
            Otherwise darker events count negatively. Defaults to False.

    Returns:
        np.ndarray: The grid, (T, 1, H, W), or (T, 2, H, W) with
        ``polarities``, float32.

    Raises:
        ValueError: An event is outside the sensor.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> events = make_events([0, 1, 4], [0, 1, 0], [0] * 3, [1, 0, 1])
        >>> voxel_grid(events, split(events, 3, 'time'), (2, 1)).tolist()
        [[[[1.0, -0.5]]], [[[0.0, -0.5]]], [[[1.0, 0.0]]]]
    """
    width, height = size
    channels = 2 if polarities else 1
    shape = (len(bins), channels, height, width)
    events, _ = _in_bins(events, bins, size)
    t = events['t'].astype('f8')
    grid = np.zeros(np.prod(shape))
    if len(t):
        t = (t - t[0]) * (len(bins) - 1) / max(t[-1] - t[0], 1)
        channel = (events['p'] > 0) * (channels - 1)
        place = (channel * height + events['y']) * width + events['x']
        sign = 1. if polarities else np.where(events['p'] > 0, 1., -1.)
        lower = np.floor(t).astype('i8')
        for index, weight in ((lower, 1 - (t - lower)), (lower + 1,
                                                         t - lower)):
            # Beyond the last time there is no weight.
            index = np.minimum(index, len(bins) - 1)
            grid += np.bincount(
                index * (channels * height * width) + place,
                weight * sign,
                minlength=len(grid))
    return grid.reshape(shape).astype(np.float32)


def time_surface(events: np.ndarray,
                 bins: Bins,
                 size: tuple[int, int],
                 tau: float = 50_000.) -> np.ndarray:
    """Rate how recent each pixel's latest event is at the end of each bin.

    The value is ``exp(-(end - t) / tau)``, and 0 where there was no event in
    this or an earlier bin (Lagorce et al., "HOTS: A Hierarchy of Event-Based
    Time-Surfaces for Pattern Recognition", TPAMI 2017, eq. 3).

    Args:
        events (np.ndarray): Events in order of time, (N,).
        bins (Bins): T bins, see :func:`split`.
        size (tuple[int, int]): Width and height of the sensor.
        tau (float): Time constant, us. Defaults to 50 ms.

    Returns:
        np.ndarray: The surfaces, (T, 2, H, W), float32; channel 0 is darker
        (p = 0), 1 brighter.

    Raises:
        ValueError: An event is outside the sensor, or ``tau`` is not above 0.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> events = make_events([0, 3], [0, 1], [0, 0], [1, 1])
        >>> surfaces = time_surface(
        ...     events, split(events, 1, 'time'), (2, 1), tau=1.)
        >>> surfaces[0, 1].round(2)  # the bin ends at 4 us
        array([[0.02, 0.37]], dtype=float32)
    """
    if tau <= 0:
        raise ValueError(f'tau must be above 0 us, got {tau}')
    width, height = size
    check_inside(events[bins.bounds[0]:bins.bounds[-1]], size)
    latest = np.full((2, height, width), -np.inf)
    surfaces = np.empty((len(bins), 2, height, width), np.float32)
    for k, surface in enumerate(surfaces):
        some = events[bins.bounds[k]:bins.bounds[k + 1]]
        # Where a pixel has several events, the last one stays.
        latest[(some['p'] > 0).astype('i8'), some['y'], some['x']] = some['t']
        surface[:] = np.exp((latest - bins.edges[k + 1]) / tau)
    return surfaces


def check_inside(events: np.ndarray,
                 size: tuple[int, int],
                 first: int = 0) -> None:
    """Raise where an event is outside the sensor.

    Args:
        events (np.ndarray): Events, (N,).
        size (tuple[int, int]): Width and height of the sensor.
        first (int): Index of the first event. Defaults to 0.

    Raises:
        ValueError: An event is outside.
    """
    outside = count_faults(events, np.iinfo('i8').min, size)[2]
    if outside >= 0:
        x, y = events['x'][outside], events['y'][outside]
        raise ValueError(f'event {first + outside} at x {x}, y {y} is outside '
                         f'the sensor of {size[0]}x{size[1]}')


def sensor_of(events: np.ndarray) -> tuple[int, int]:
    """Width and height of the smallest sensor that has all events.

    Pictures use it where no sensor is known.

    Args:
        events (np.ndarray): Events, (N,).

    Returns:
        tuple[int, int]: Width and height; 1 and 1 without events.

    Example:
        >>> from mmsnn.datasets.events import make_events
        >>> sensor_of(make_events([0, 1], [7, 2], [0, 3], [1, 0]))
        (8, 4)
    """
    if not len(events):
        return 1, 1
    return int(events['x'].max()) + 1, int(events['y'].max()) + 1


def _in_bins(events: np.ndarray, bins: Bins,
             size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Events that are in a bin, and that bin."""
    index = np.repeat(np.arange(len(bins)), np.diff(bins.bounds))
    first = int(bins.bounds[0])
    events = events[first:bins.bounds[-1]]
    check_inside(events, size, first)
    return events, index
