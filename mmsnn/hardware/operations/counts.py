"""How many operations an op of a trace takes, by cause of energy.

There is one function for each way of counting: spiking form, twin, formula.
Counts are exact (integers or fractions) and totals over all images of the
trace.
"""

from fractions import Fraction

from mmsnn.trace import SYNAPSES, OpRecord, is_spiking_synapse

SYNAPSE_ACS = 'synapse ACs'
SYNAPSE_MACS = 'synapse MACs'
REAL_MACS = 'other real MACs'
ADDS = 'additions'
COMPARISONS = 'comparisons'
OTHER = 'other operations'
UPDATES = 'neuron updates'
WEIGHT_READS = 'weights fetched'
STATE_READS = 'states read'
STATE_WRITES = 'states written'
ACTIVATION_READS = 'activations read'
ACTIVATION_WRITES = 'activations written'

#: Accesses to memory, without any cache or reuse. States are membranes, and
#: the accumulators of attention products.
MEMORY_CAUSES = (WEIGHT_READS, STATE_READS, STATE_WRITES, ACTIVATION_READS,
                 ACTIVATION_WRITES)

#: Everything that can cost energy: additions caused by spikes at synapses;
#: multiply-accumulates of synapses on real input; multiply-accumulates of
#: other ops (interpolation, norm); real additions, comparisons and other
#: operations; updates of neurons, one per neuron and sub-step; accesses to
#: memory.
CAUSES = (SYNAPSE_ACS, SYNAPSE_MACS, REAL_MACS, ADDS, COMPARISONS, OTHER,
          UPDATES, *MEMORY_CAUSES)

#: Cause of energy, one of :data:`CAUSES` -> number of operations.
Counts = dict[str, int | Fraction]


def spiking_counts(record: OpRecord) -> Counts:
    """Operations of an op in spike-train form, and their memory accesses.

    An addition that a spike causes fetches a weight (in a product of
    activations: an element of the operand), and reads and writes a state. A
    neuron reads and writes its state in every sub-step. A multiply-accumulate
    on real input fetches a weight and reads an activation; its sum is kept in
    a register.

    Args:
        record (OpRecord): What the trace recorded of the op.

    Returns:
        dict[str, int]: Each cause of :data:`CAUSES` -> number.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> counts = spiking_counts(OpRecord('fc', 'linear', 'linear',
        ...                                  spiking=True, sops=6, adds=2))
        >>> {cause: count for cause, count in counts.items() if count}
        {'synapse ACs': 6, 'additions': 2, 'weights fetched': 6,
         'states read': 6, 'states written': 6}
    """
    synapse = record.kind in SYNAPSES
    updates = record.neurons * record.max_spikes
    states = updates + (record.sops if synapse else 0)
    fetched = record.sops + record.macs if synapse else 0
    return {
        SYNAPSE_ACS: record.sops,
        SYNAPSE_MACS: record.macs if synapse else 0,
        REAL_MACS: 0 if synapse else record.macs,
        ADDS: record.adds,
        COMPARISONS: record.comparisons,
        OTHER: record.other,
        UPDATES: updates,
        WEIGHT_READS: fetched if record.static else 0,
        STATE_READS: states,
        STATE_WRITES: states,
        ACTIVATION_READS: (record.macs if synapse else 0) +
        (0 if record.static else fetched),
        ACTIVATION_WRITES: 0,
    }


def twin_counts(record: OpRecord) -> Counts:
    """Operations of an op in a twin, and their memory accesses.

    In a twin every synapse does dense multiply-accumulates, every other op is
    as in spike-train form, and activation functions are free. Where one image
    is repeated over time steps, the twin sees it once.

    A multiply-accumulate fetches a weight and reads an activation (in a
    product of activations it reads two); its sum is kept in a register. Where
    the spiking form has a neuron, the twin writes one activation.

    Args:
        record (OpRecord): What the trace recorded of the op.

    Returns:
        dict[str, Fraction]: Each cause of :data:`CAUSES` -> number.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> counts = twin_counts(OpRecord('fc', 'linear', 'linear',
        ...                               dense_ops=8, sops=6, adds=2))
        >>> {cause: str(count) for cause, count in counts.items() if count}
        {'synapse MACs': '8', 'additions': '2', 'weights fetched': '8',
         'activations read': '8'}
    """
    counts = spiking_counts(record)
    for cause in (SYNAPSE_ACS, UPDATES, *MEMORY_CAUSES):
        counts[cause] = 0
    counts[ACTIVATION_WRITES] = record.neurons
    if record.kind in SYNAPSES:
        counts[SYNAPSE_MACS] = record.dense_ops
        counts[WEIGHT_READS if record.static else ACTIVATION_READS] += (
            record.dense_ops)
        counts[ACTIVATION_READS] += record.dense_ops
    return {k: Fraction(v, record.repeats) for k, v in counts.items()}


def formula_counts(record: OpRecord) -> Counts:
    """Operations of an op by the formula of the paper's supplement S1.

    ``FL`` are the dense multiply-accumulates of a synapse, ``r`` is the mean
    number of spikes per input. The formula charges ``FL * r`` additions for a
    spiking synapse, ``FL`` multiply-accumulates for a synapse on real input,
    and nothing for other ops.

    Args:
        record (OpRecord): What the trace recorded of the op.

    Returns:
        dict[str, int | Fraction]: Each cause of :data:`CAUSES` -> number.

    Raises:
        ValueError: If a spiking synapse has no rate.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> counts = formula_counts(OpRecord('fc', 'linear', 'linear',
        ...                                  spiking=True, dense_ops=8,
        ...                                  in_spikes=3, in_elements=4))
        >>> {cause: str(count) for cause, count in counts.items() if count}
        {'synapse ACs': '6'}
    """
    counts: Counts = dict.fromkeys(CAUSES, 0)
    if is_spiking_synapse(record):
        if not record.in_elements:
            raise ValueError(
                f'{record.op} of {record.module!r} is a spiking synapse '
                'without input elements in the op trace: its rate is '
                'undefined')
        counts[SYNAPSE_ACS] = Fraction(record.dense_ops * record.in_spikes,
                                       record.in_elements)
    elif record.kind in SYNAPSES:
        counts[SYNAPSE_MACS] = record.dense_ops
    return counts
