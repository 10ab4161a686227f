"""What the events of a chip take: nanoseconds, at one end of its ranges."""

from dataclasses import dataclass

import numpy as np

from mmsnn.hardware.chips.figures import MissingFigureError, UsedFigures
from mmsnn.hardware.mapping.mapper import Link
from mmsnn.hardware.mapping.mesh import Mesh


def synop_figure(section: str, link: Link, figures, weights: str) -> str:
    """Name of the figure that a synaptic addition of a link is charged with.

    A spec may list a figure of its own for convolutions with shared weights
    (``synop_conv``) and for linear layers (``synop_dense``). All other
    additions, and those of a spec without these figures, take ``synop``.

    Args:
        section (str): ``events`` for energies, ``latency`` for times.
        link (Link): The projection whose spikes cause the addition.
        figures (dict[str, Figure]): Figures of the chip by full name.
        weights (str): ``shared`` or ``unrolled``.

    Returns:
        str: Full name of the figure, such as ``events.synop_conv``.
    """
    name = {'conv': 'synop_conv', 'linear': 'synop_dense'}.get(
        link.projection.op, 'synop')
    if name == 'synop_conv' and weights != 'shared':
        name = 'synop'
    key = f'{section}.{name}'
    return key if key in figures else f'{section}.synop'


@dataclass(frozen=True)
class Delays:
    """What the events of a chip take, in nanoseconds.

    A figure of a chip may be a range. Times depend on which core is the
    slowest, so they are computed twice, with all figures at one end each.

    Attributes:
        used (UsedFigures): Figures of the chip; keeps which were used.
        result (str): The result that needs the figures, for errors.
        end (str): Which end of each range is taken: ``low`` or ``high``.

    Example:
        >>> from mmsnn.hardware import load_chip
        >>> delays = Delays(UsedFigures(load_chip('loihi')), 'latency')
        >>> delays('access', 'neurons looked at')  # ns for one of them
        5.3
        >>> delays.firing(looks=np.array([10., 0.]), spikes=0, messages=0)
        array([84.,  0.])
    """

    used: UsedFigures
    result: str
    end: str = 'low'

    def __call__(self, name: str, what: str) -> float:
        """Time of one event, 0 where another figure contains it.

        Args:
            name (str): A figure of the section ``latency``.
            what (str): The events, for the list of figures that were used.

        Returns:
            float: ns.

        Raises:
            MissingFigureError: If the figure is absent or null.
        """
        span = self.used.span(f'latency.{name}', self.result, what)
        return getattr(span, self.end)

    def firing(self, looks, spikes, messages) -> np.ndarray:
        """Time in which cores look at their neurons, update them and send.

        Args:
            looks (ndarray): How often each core looks at a neuron and updates
                it.
            spikes (ndarray): Spikes that each core fires.
            messages (ndarray): Messages that each core sends.

        Returns:
            ndarray: ns for each core.

        Raises:
            MissingFigureError: If a figure is absent or null.
        """
        visit = (self('access', 'neurons looked at') +
                 self('update', 'neurons updated'))
        return (looks * visit + spikes * self('fire', 'spikes') +
                messages * self('message', 'messages sent'))

    def receiving(self, messages, additions, link: Link,
                  weights: str) -> np.ndarray:
        """Time in which cores take messages in and add their synapses up.

        Args:
            messages (ndarray): Messages that arrive at each core over a link.
            additions (ndarray): Synaptic additions that they cause.
            link (Link): The link.
            weights (str): ``shared`` or ``unrolled``.

        Returns:
            ndarray: ns for each core.

        Raises:
            MissingFigureError: If a figure is absent or null.
        """
        figures = self.used.chip.figures
        message = self('message_in', 'messages received')
        key = synop_figure('latency', link, figures, weights)
        addition = self(key.removeprefix('latency.'), 'synaptic additions')
        return messages * message + additions * addition

    @property
    def tick(self) -> float | None:
        """Fixed length of a sub-step in ns, None where it depends on the work.

        Raises:
            MissingFigureError: If the chip has a fixed length, but the spec
                does not know which.
        """
        if 'latency.tick' not in self.used.chip.figures:
            return None
        return self('tick', 'length of a sub-step')

    def barrier(self, tiles: int) -> float:
        """Time in which all cores agree that a sub-step has ended.

        Args:
            tiles (int): Tiles whose cores wait for each other.

        Returns:
            float: ns. Of a table by number of tiles: the entry of the largest
            number that is not above ``tiles``.

        Raises:
            MissingFigureError: If the figure is absent or null.
        """
        what = 'barrier at the end of a sub-step'
        table = self.used.take('latency.barrier', self.result, what).value
        if not isinstance(table, dict):
            return self('barrier', what)
        return table[max((t for t in table if t <= tiles), default=min(table))]

    def transport_cost(self, mesh: Mesh) -> tuple[float, float, float, float]:
        """What it takes to carry one message from core to core.

        Args:
            mesh (Mesh): Where the cores lie.

        Returns:
            tuple[float, float, float, float]: ns per hop along x, per hop
            along y, per step from chip to chip, and per message whatever its
            distance.

        Raises:
            MissingFigureError: If neither the figures of hops nor
                ``latency.transport`` are known.
        """
        figures = self.used.chip.figures
        if 'latency.transport' in figures:
            return (0.0, 0.0, self._chip_step(mesh),
                    self('transport', 'way of a message'))
        if not mesh.routed:
            raise MissingFigureError(
                f'{self.result} needs the figure latency.transport, or '
                'latency.hop_ew and hop_ns with limits.mesh_width and '
                f'mesh_height, which chip spec {self.used.chip.path} does '
                'not list: add them, or choose another chip')
        return (self('hop_ew', 'hops along x'), self('hop_ns', 'hops along y'),
                self._chip_step(mesh), 0.0)

    def _chip_step(self, mesh: Mesh) -> float:
        if mesh.chips < 2:
            return 0.0
        return self('link', f'steps between {mesh.chips} chips')
