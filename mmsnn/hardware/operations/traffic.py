"""Memory traffic of each op in spike-train form."""

from dataclasses import dataclass

from mmsnn.trace import SYNAPSES, OpRecord, OpTrace, is_spiking_synapse

from .counts import (
    ACTIVATION_READS,
    STATE_READS,
    STATE_WRITES,
    WEIGHT_READS,
    spiking_counts,
)


@dataclass(frozen=True)
class Traffic:
    """Memory accesses of one op per image, without any cache or reuse.

    Attributes:
        module (str): Module path.
        kind (str): Kind of op.
        messages (float): Spikes that arrive at a synapse: one message for
            each, to each synapse that a neuron feeds.
        weight_reads (float): Weights fetched: one per addition that a spike
            causes, one per multiply-accumulate.
        state_reads (float): Membranes or accumulators read: one per addition
            that a spike causes, and one per neuron and sub-step.
        state_writes (float): Membranes or accumulators written back: as many
            as are read.
        activation_reads (float): Real values read: one per
            multiply-accumulate, two in a product of real values, and one per
            addition of a product that spikes drive (its other operand).
        touched (float): Outputs that at least one spike reaches, summed over
            sub-steps, of the first image; 0 if they were not counted.
        weight_bytes (int): Bytes of the weights, held once.
        state_bytes (int): Bytes of membranes, or of the accumulators of an
            attention product, held for one image.
        accumulator_bits (int): Width of the accumulators of an attention
            product; 0 of other ops.
    """

    module: str
    kind: str
    messages: float
    weight_reads: float
    state_reads: float
    state_writes: float
    activation_reads: float
    touched: float
    weight_bytes: int
    state_bytes: int
    accumulator_bits: int


def memory_traffic(trace: OpTrace) -> list[Traffic]:
    """Memory traffic of every neuron layer and synapse.

    Args:
        trace (OpTrace): Ops of the model, on at least one image.

    Returns:
        list[Traffic]: Means per image, in order of execution.

    Raises:
        ValueError: If the trace holds no image.

    Example:
        >>> from mmsnn.trace import OpRecord, OpTrace
        >>> n = OpRecord('n', 'neuron', 'neuron', neurons=8, max_spikes=4,
        ...              state_bytes=32)
        >>> fc = OpRecord('fc', 'linear', 'mm', spiking=True, sops=30,
        ...               in_spikes=3, weight_bytes=320)
        >>> a, b = memory_traffic(OpTrace([n, fc], 1))
        >>> a.state_reads, b.weight_reads, b.state_writes, b.messages
        (32.0, 30.0, 30.0, 3.0)
    """
    trace.require_images()
    return [
        _traffic(r, trace.images) for r in trace
        if r.kind == 'neuron' or r.kind in SYNAPSES
    ]


def _traffic(record: OpRecord, images: int) -> Traffic:
    counts = spiking_counts(record)
    held = record.state_bytes
    if record.accumulators:
        rows = record.accumulators / images / record.timesteps
        held = round(rows * record.accumulator_bits / 8)
    return Traffic(
        module=record.module,
        kind=record.kind,
        messages=record.in_spikes / images if is_spiking_synapse(record) else
        0.0,
        weight_reads=counts[WEIGHT_READS] / images,
        state_reads=counts[STATE_READS] / images,
        state_writes=counts[STATE_WRITES] / images,
        activation_reads=counts[ACTIVATION_READS] / images,
        touched=sum(record.touched) / max(1, record.sampled),
        weight_bytes=record.weight_bytes,
        state_bytes=held,
        accumulator_bits=record.accumulator_bits)
