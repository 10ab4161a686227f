"""Shapes of populations: those of one run, from records of whole batches.

A record knows the shapes of tensors as PyTorch has them: with batch and time
in front, tokens before channels in front of a linear layer. A population has
the shape of one run, in one time step, channels first.
"""

import math

from mmsnn.trace import OpRecord, OpTrace, Reads, is_spiking_synapse
from mmsnn.trace.reads import runs

from .populations import Population
from .projections import Geometry
from .trace_graph import TraceGraph

Shape = tuple[int, ...]


class Shapes:
    """Shapes of populations and geometries of synapses.

    A row is an entry along the first axis of a tensor. Where a run has several
    rows in a time step (tokens, regions of interest) their mean number becomes
    an axis behind the channels.

    Args:
        graph (TraceGraph): Ops of the trace and what each has read.
        trace (OpTrace): The trace.

    Attributes:
        image (tuple[int]): Shape of what the network is given in one run.
    """

    def __init__(self, graph: TraceGraph, trace: OpTrace) -> None:
        self.graph, self.records = graph, graph.records
        self.images = trace.images * graph.runs
        self.timesteps = max(r.timesteps for r in trace)
        whole = next(iter(trace.image_shapes), ())
        image = self._run_shape() or whole or (1, )
        # (T, C, H, W): time is no axis of a population.
        self.image: Shape = image[1:] if len(image) == 4 else image
        self._last = self._channels_last()

    def _run_shape(self) -> Shape:
        """Shape that the first op of a run reads; empty if there is one run
        for an image, which reads all of it."""
        first = next(iter(self.graph.sources), None)
        if self.graph.runs == 1 or first is None:
            return ()
        return self.records[first].input_shape[1:]

    def _channels_last(self) -> set[int]:
        """Neurons that have their channels last, since a linear layer reads
        them so."""
        last = set()
        for i, sources in self.graph.sources.items():
            if reads_features(self.records[i]):
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
        """Shape of the population that holds the result of an op.

        Args:
            i (int): Number of the op in the trace.

        Returns:
            tuple[int]: Channels first. The result of a product of two
            activations has one axis.
        """
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
        """Where the axes of a population are in the output of its op.

        Args:
            i (int): Number of the op in the trace.

        Returns:
            tuple[int | None]: For each axis of the population, the axis of
            the output (0 for that of the rows); None if the output has none.
        """
        inner = list(range(1, len(self.records[i].output_shape))) or [None]
        if i in self._last:
            inner = inner[-1:] + inner[:-1]
        if len(self.population(i)) > len(inner):
            inner.insert(1, 0)
        return tuple(inner)

    def _rows(self, record: OpRecord) -> int:
        """Rows of a run in one time step."""
        if not record.output_shape:
            return 1
        rows = record.output_shape[0] * record.calls / self.images
        if self.timesteps > 1 and rows >= self.timesteps:
            rows /= self.timesteps
        return max(1, round(rows))

    def read(self, i: int) -> Shape:
        """Shape of what an op reads.

        Args:
            i (int): Number of the op in the trace.

        Returns:
            tuple[int]: Without the axis of rows.
        """
        return tuple(max(1, n) for n in self.records[i].input_shape[1:]) or (
            1, )

    def channels_in(self, record: OpRecord) -> int:
        """Input channels of a synapse.

        Args:
            record (OpRecord): The record of the synapse.
        """
        if len(record.input_shape) < 2:
            return 0
        return record.input_shape[-1 if reads_features(record) else 1]

    def in_order_of(self, i: int, source: int) -> bool:
        """Whether a population has its axes in the order in which an op
        that reads the layer as it is takes them: channels first.

        Args:
            i (int): Number of the op.
            source (int): Number of the layer's op.

        Returns:
            bool: True also for what is no layer that fires, or is read
            otherwise.
        """
        record, layer = self.records[i], self.records[source]
        inner = len(layer.output_shape) - 1
        if not (record.spiking and layer.spiking and record.kind != 'matmul'
                and record.input_shape[1:] == layer.output_shape[1:]
                and inner > 1):
            return True
        first = inner if reads_features(record) else 1
        return self.axes(source)[0] == first

    def whole(self, source: int, population: Population) -> Reads:
        """All elements of a layer in their order, as the trace has them.

        Args:
            source (int): Number of the layer's op.
            population (Population): The population of the layer.
        """
        inner = self.records[source].output_shape[1:]
        rows = population.neurons // math.prod(inner)
        shape = [rows, population.timesteps, *inner]
        lengths = [rows * population.timesteps, *inner]
        lines = [
            runs([k * math.prod(lengths[a + 1:]) for k in range(n)])
            for a, n in enumerate(lengths)
        ]
        number = math.prod(shape)
        return Reads(shape, number, number, [], [], 0, 0, lines)

    def target_axes(self, i: int, home: int,
                    geometry: Geometry | None) -> tuple[int, ...]:
        """Which axis of its target lies along each axis of an op's output.

        Args:
            i (int): Number of the synapse's op.
            home (int): Number of the op whose population holds its result.
            geometry (Geometry | None): Of the op.

        Returns:
            tuple[int]: Empty if they are in their order, or it is not known.
        """
        record, held = self.records[i], self.records[home]
        if geometry is None or not geometry.kernel:
            return ()
        inner = list(range(1, len(held.output_shape)))
        if reads_features(record):
            if held.output_shape[-1:] != record.output_shape[-1:]:
                return ()
            inner = inner[-1:] + inner[:-1]
        elif held.output_shape[1:] != record.output_shape[1:]:
            return ()
        axes = self.axes(home)
        if 0 in axes:
            inner.insert(1, 0)
        if sorted(inner) != sorted(a or 0 for a in axes) or len(inner) != len(
                geometry.out_shape):
            return ()
        order = tuple(axes.index(a) for a in inner)
        return () if order == tuple(range(len(order))) else order

    def geometry(self, i: int, source: Population) -> Geometry | None:
        """Geometry of a synapse.

        Args:
            i (int): Number of the synapse's op in the trace.
            source (Population): The population that it reads.

        Returns:
            Geometry | None: None for a product of two activations, for an
            op on empty tensors, and where the trace does not tell it.
        """
        record = self.records[i]
        if record.kind == 'matmul' or 0 in (*record.input_shape[1:],
                                            *record.output_shape[1:]):
            return None
        if reads_features(record):
            return self._linear(record, source)
        g = record.geometry
        if not g:
            return None
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


def reads_features(record: OpRecord) -> bool:
    """Whether an op is a linear layer on the last axis of its input.

    Args:
        record (OpRecord): Of the op.
    """
    return record.kind == 'linear' and not record.geometry


def _with_rows(inner: Shape, rows: int) -> Shape:
    """Add an axis of rows behind the channels, if there are several."""
    return (inner[0], rows, *inner[1:]) if rows > 1 else inner
