"""Time per event on a chip, at one end of its ranges."""

from dataclasses import dataclass

from mmsnn.hardware.chips.figures import MissingFigureError, UsedFigures
from mmsnn.hardware.mapping.mapper import Link
from mmsnn.hardware.mapping.mesh import Mesh


def synop_figure(section: str, link: Link, figures, weights: str) -> str:
    """The figure that a synaptic addition of a link is charged with.

    Convolutions with shared weights and linear layers have figures of their
    own where the spec lists them.
    """
    name = {'conv': 'synop_conv', 'linear': 'synop_dense'}.get(
        link.projection.op, 'synop')
    if name == 'synop_conv' and weights != 'shared':
        name = 'synop'
    key = f'{section}.{name}'
    return key if key in figures else f'{section}.synop'


@dataclass(frozen=True)
class Delays:
    """Nanoseconds per event at one end of a chip's ranges.

    Attributes:
        used (UsedFigures): Figures of the chip.
        result (str): What is computed, for errors.
        end (str): ``low`` or ``high``.
    """

    used: UsedFigures
    result: str
    end: str = 'low'

    def __call__(self, name: str, what: str) -> float:
        """``latency.name``, 0 where another figure contains it."""
        span = self.used.span(f'latency.{name}', self.result, what)
        return getattr(span, self.end)

    def synop(self, link: Link, weights: str) -> float:
        """Of a synaptic addition over a link."""
        figures = self.used.chip.figures
        key = synop_figure('latency', link, figures, weights)
        span = self.used.span(key, self.result, 'synaptic additions')
        return getattr(span, self.end)

    @property
    def tick(self) -> float | None:
        """The fixed length of a time step, where the chip has one.

        Raises:
            MissingFigureError: If it has one that is not known.
        """
        if 'latency.tick' not in self.used.chip.figures:
            return None
        return self('tick', 'length of a sub-step')

    def barrier(self, tiles: int) -> float:
        """Of the barrier at the end of a step over so many tiles."""
        what = 'barrier at the end of a sub-step'
        table = self.used.take('latency.barrier', self.result, what).value
        if not isinstance(table, dict):
            return self('barrier', what)
        return table[max((t for t in table if t <= tiles), default=min(table))]

    def transport_cost(self, mesh: Mesh) -> tuple[float, float, float, float]:
        """Per hop along x and y, per step between chips, per message.

        Raises:
            MissingFigureError: If neither hops nor ``transport`` are known.
        """
        figures = self.used.chip.figures
        if 'latency.transport' in figures:
            return (0.0, 0.0, self._link(mesh),
                    self('transport', 'way of a message'))
        if not mesh.routed:
            raise MissingFigureError(
                f'{self.result} needs the figure latency.transport, or '
                'latency.hop_ew and hop_ns with limits.mesh_width and '
                f'mesh_height, which chip spec {self.used.chip.path} does '
                'not list: add them, or choose another chip')
        return (self('hop_ew', 'hops along x'), self('hop_ns', 'hops along y'),
                self._link(mesh), 0.0)

    def _link(self, mesh: Mesh) -> float:
        if mesh.chips < 2:
            return 0.0
        return self('link', f'steps between {mesh.chips} chips')
