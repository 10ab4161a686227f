"""Shapes of one image, channels first, from the shapes of whole batches."""

import math

from mmsnn.trace import OpRecord, OpTrace, is_spiking_synapse

from .populations import Geometry, Population
from .trace_graph import TraceGraph

Shape = tuple[int, ...]


class Shapes:
    """Shapes of populations and synapses.

    Where an image has several rows of a batch (tokens, regions of interest),
    their mean number, rounded up, becomes an axis behind the channels.

    Args:
        graph (TraceGraph): Ops and what they have read.
        trace (OpTrace): The same trace.
    """

    def __init__(self, graph: TraceGraph, trace: OpTrace) -> None:
        self.graph, self.records = graph, graph.records
        self.images = trace.images * graph.runs
        self.timesteps = max(r.timesteps for r in trace)
        image = self._window() or next(iter(trace.image_shapes), ()) or (1, )
        # (T, C, H, W): time is no axis of a population.
        self.image: Shape = image[1:] if len(image) == 4 else image
        self._last = self._channels_last()

    def _window(self) -> Shape:
        """What the first op of a run reads; empty if there is one run."""
        first = next(iter(self.graph.sources), None)
        if self.graph.runs == 1 or first is None:
            return ()
        return self.records[first].input_shape[1:]

    def _channels_last(self) -> set[int]:
        """Neurons that a linear layer reads along their last axis."""
        last = set()
        for i, sources in self.graph.sources.items():
            if self.records[i].kind == 'linear':
                features = self.records[i].input_shape[-1:]
                last |= {
                    s for s in sources if isinstance(s, int)
                    and self.records[s].output_shape[-1:] == features
                    # (N, C, H, W) with W = C is channels first.
                    and (len(self.records[s].output_shape) < 4
                         or self.records[s].output_shape[1:2] != features)
                }
        return last

    def population(self, i: int) -> Shape:
        """Of the population that holds the result of an op."""
        record = self.records[i]
        if record.kind == 'matmul':
            return (max(1, self._rows(record) *
                        math.prod(record.output_shape[1:])), )
        inner = record.output_shape[1:] or (1, )
        if i in self._last:
            inner = inner[-1:] + inner[:-1]
        if record.kind == 'neuron':
            neurons = record.neurons / (record.timesteps * self.images)
            rows = math.ceil(neurons / max(1, math.prod(inner)) - 1e-9)
        else:
            rows = self._rows(record)
        return _with_rows(tuple(max(1, n) for n in inner), max(1, rows))

    def axes(self, i: int) -> tuple[int | None, ...]:
        """Which axis of a record's output each axis of the population is;
        None for one that it lacks. Axis 0 has the rows of an image."""
        inner = list(range(1, len(self.records[i].output_shape))) or [None]
        if i in self._last:
            inner = inner[-1:] + inner[:-1]
        if len(self.population(i)) > len(inner):
            inner.insert(1, 0)
        return tuple(inner)

    def _rows(self, record: OpRecord) -> int:
        """Rows of a batch that an image has in one time step."""
        if not record.output_shape:
            return 1
        rows = record.output_shape[0] * record.calls / self.images
        if self.timesteps > 1 and rows >= self.timesteps:
            rows /= self.timesteps
        return max(1, round(rows))

    def read(self, i: int) -> Shape:
        """Of what an op reads."""
        return tuple(max(1, n) for n in self.records[i].input_shape[1:]) or (
            1, )

    def channels_in(self, record: OpRecord) -> int:
        """Input channels of a synapse."""
        return record.input_shape[-1 if record.kind == 'linear' else 1]

    def geometry(self, i: int, source: Population) -> Geometry | None:
        """Of a synapse; None for a product of two activations, or one that
        had nothing to do."""
        record = self.records[i]
        if record.kind == 'matmul' or 0 in (*record.input_shape[1:],
                                            *record.output_shape[1:]):
            return None
        if record.kind == 'linear':
            return self._linear(record, source)
        g = record.geometry
        rows, axes = self._rows(record), len(g['kernel'])
        more = 1 if rows > 1 else 0
        return Geometry(
            _with_rows(record.input_shape[1:], rows),
            _with_rows(record.output_shape[1:], rows),
            (1, ) * more + tuple(g['kernel']),
            (1, ) * more + tuple(g['stride']),
            (0, ) * more + tuple(g['padding']),
            (1, ) * more + tuple(g['dilation']),
            g['groups'], g['transposed']) if axes else None

    def _linear(self, record: OpRecord, source: Population) -> Geometry:
        inputs, outputs = record.input_shape[-1], record.output_shape[-1]
        steps = record.timesteps if is_spiking_synapse(record) else 1
        tokens = record.dense_ops / (inputs * outputs * self.images * steps)
        tokens = max(1, math.ceil(tokens - 1e-9))
        positions = source.shape[1:]
        if (tokens > 1 and source.shape[0] == inputs
                and math.prod(positions) == tokens):
            ones = (1, ) * len(positions)
            return Geometry((inputs, *positions), (outputs, *positions), ones,
                            ones, (0, ) * len(positions), ones)
        return Geometry.linear(inputs, outputs, tokens if tokens > 1 else None)


def _with_rows(inner: Shape, rows: int) -> Shape:
    return (inner[0], rows, *inner[1:]) if rows > 1 else inner
