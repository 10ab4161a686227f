"""Which neurons a projection connects, one axis at a time.

An output of a convolution reads a range of channels, a range of rows and a
range of columns, whatever the other axes are. So a block of neurons reads
``channels x rows x columns`` distinct sources: a mapping counts them for each
axis and multiplies. This is exact and needs no list of connections. The same
holds for the number of connections into a block, for the sources that it
has in common with a block of another core, and where the op reads a slice, a
permutation or repeats of the source along each axis.
"""

from dataclasses import dataclass

from mmsnn.hardware.network.populations import Population
from mmsnn.hardware.network.projections import Geometry, Projection

from .axes import Axis
from .channel_axes import ChannelAxis, channels


@dataclass(frozen=True)
class Connectivity:
    """Connections of a projection.

    Attributes:
        axes (tuple[Axis | ChannelAxis]): Connections along each axis, the
            channels first.
        exact (bool): False where geometry and shapes of the populations do
            not fit together, or the neurons that are read are scattered, so
            that every source is taken to be connected to every target.
        order (tuple[int]): For each of ``axes`` the axis of the source that
            it is about. A source that has fewer has further ones of length 1.
        target_order (tuple[int]): The same for the target.
        read (float): Part of the sources of ``axes`` that are read.
        density (float): Part of the connections of ``axes`` that there are.
    """

    axes: tuple[Axis | ChannelAxis, ...]
    exact: bool
    order: tuple[int, ...] = ()
    target_order: tuple[int, ...] = ()
    read: float = 1.0
    density: float = 1.0

    def __post_init__(self):
        for name in ('order', 'target_order'):
            if not getattr(self, name):
                object.__setattr__(self, name, tuple(range(len(self.axes))))

    def from_source(self, values: list) -> list:
        """Values of the axes of the source, in the order of ``axes``.

        Args:
            values (list): One for each axis of the source, filled up with
                those of further axes of length 1.
        """
        return [values[axis] for axis in self.order]

    def to_source(self, values: list) -> list:
        """Values of ``axes``, in the order of the axes of the source.

        Args:
            values (list): One for each of ``axes``.

        Example:
            >>> found = Connectivity((), True, order=(2, 0, 1))
            >>> found.from_source('chw'), found.to_source('whc')
            (['w', 'c', 'h'], ['h', 'c', 'w'])
        """
        return _placed(self.order, values)

    def from_target(self, values: list) -> list:
        """As :meth:`from_source`, of the target.

        Args:
            values (list): One for each axis of the target, filled up.
        """
        return [values[axis] for axis in self.target_order]

    def to_target(self, values: list) -> list:
        """As :meth:`to_source`, of the target.

        Args:
            values (list): One for each of ``axes``.
        """
        return _placed(self.target_order, values)


def _placed(order: tuple[int, ...], values: list) -> list:
    placed = dict(zip(order, values))
    return [placed[axis] for axis in sorted(placed)]


def connectivity(projection: Projection, source: Population,
                 target: Population) -> Connectivity:
    """Find which neurons of two populations a projection connects.

    - With a geometry that has the axes of both populations: as the geometry
      and the ``picks`` of the projection say. Axes of length 1 may lack.
    - ``residual``: each neuron with the one at its place; at the nearest
      place where the populations differ in size.
    - All others: every source that is read with every target. This is exact
      without a geometry, and for a linear layer on a flattened source.

    Args:
        projection (Projection): The projection.
        source (Population): Where it starts.
        target (Population): Where it ends.

    Returns:
        Connectivity: Its connections along each axis.

    Example:
        The whole target reads both channels and all 4 positions.

        >>> import numpy as np
        >>> conv = Geometry((2, 4), (2, 4), (3,), (1,), (1,), (1,))
        >>> axes = connectivity(
        ...     Projection('conv', 'a', 'b', 'conv', geometry=conv),
        ...     Population('a', (2, 4), spikes=(0.,)),
        ...     Population('b', (2, 4), spikes=(0.,))).axes
        >>> [float(axis.distinct(np.array([0, n])).item())
        ...  for axis, n in zip(axes, (2, 4))]
        [2.0, 4.0]
    """
    geometry = projection.geometry
    if (projection.op == 'residual' and source.shape[0] == target.shape[0]
            and len(source.shape) == len(target.shape)):
        ones = (1, ) * (len(source.shape) - 1)
        shape = tuple(map(max, source.shape, target.shape))
        geometry = Geometry(shape, shape, ones, ones, (0, ) * len(ones), ones,
                            groups=shape[0])
    if projection.scattered:
        return _unknown(projection, source, target)
    if geometry is not None and _fits(projection, geometry, source, target):
        return _along(projection, geometry, source, target)
    if geometry is None or (not geometry.kernel and geometry.groups == 1):
        return _all_to_all(projection, source, target)
    return _unknown(projection, source, target)


def _fits(projection: Projection, geometry: Geometry, source: Population,
          target: Population) -> bool:
    """Whether a geometry has the axes of both populations."""
    axes = len(geometry.in_shape)
    if not geometry.kernel:
        return len(source.shape) == len(target.shape) == 1
    reads_more = bool(projection.picks) and len(source.shape) <= axes
    return (reads_more or len(source.shape) == axes) and (
        len(target.shape) == axes or (
            len(target.shape) < axes
            and set(geometry.out_shape[len(target.shape):]) == {1}))


def _along(projection: Projection, geometry: Geometry, source: Population,
           target: Population) -> Connectivity:
    """Connections by the geometry, along each of its axes."""
    axes = len(geometry.in_shape)
    order = projection.source_axes or tuple(range(axes))
    lengths = source.shape + (1, ) * (axes - len(source.shape))
    lengths = [lengths[axis] for axis in order]
    ends = target.shape + (1, ) * (axes - len(target.shape))
    target_order = projection.target_axes or tuple(range(axes))
    ends = [ends[axis] for axis in target_order]
    picks = projection.picks or (None, ) * axes
    channel = channels(geometry.in_shape[0], geometry.out_shape[0],
                       geometry.groups, lengths[0], ends[0],
                       projection.source_offset, projection.target_offset,
                       picks[0])
    positions = (Axis.positions(
        geometry.in_shape[i + 1],
        geometry.out_shape[i + 1],
        lengths[i + 1],
        ends[i + 1],
        kernel=geometry.kernel[i],
        stride=geometry.stride[i],
        padding=geometry.padding[i],
        dilation=geometry.dilation[i],
        transposed=geometry.transposed,
        picks=picks[i + 1]) for i in range(len(geometry.kernel)))
    return Connectivity((channel, *positions), True, order, target_order)


def _all_to_all(projection: Projection, source: Population,
                target: Population) -> Connectivity:
    """All sources that are read with all targets."""
    axes = tuple(_dense(source.shape, target.shape, projection.picks))
    read = source.neurons
    for picked, length in zip(projection.picks, source.shape):
        if picked is not None:
            read = read // length * len(set(picked))
    density = 1.0
    if projection.picks and projection.synapses:
        density = projection.synapses / (read * target.neurons)
    return Connectivity(axes, True, density=density)


def _unknown(projection: Projection, source: Population,
             target: Population) -> Connectivity:
    """As if each target read every source that is read at all."""
    read = density = 1.0
    if projection.neurons_read is not None:
        read = projection.neurons_read / source.neurons
    if projection.scattered:
        density = min(1.0, projection.synapses /
                      (source.neurons * target.neurons))
    return Connectivity(tuple(_dense(source.shape, target.shape)), False,
                        read=read, density=density)


def _dense(source_shape, target_shape, picks=()):
    length = max(len(source_shape), len(target_shape))
    source = source_shape + (1, ) * (length - len(source_shape))
    target = target_shape + (1, ) * (length - len(target_shape))
    picks = tuple(picks) + (None, ) * (length - len(picks))
    return [
        channels(s if p is None else len(p), t, 1, s, t, picks=p)
        for s, t, p in zip(source, target, picks)
    ]
