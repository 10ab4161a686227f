"""Operations of one op of a trace, by cause, in each way of counting.

Counts are exact: Python integers, or fractions for the formula.
"""

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmsnn.conversion.trace import OpRecord

#: Kinds of op that are synapses when spikes drive them.
SYNAPSES = ('conv', 'linear', 'matmul')

SYNAPSE_ACS = 'synapse ACs'
SYNAPSE_MACS = 'synapse MACs'
REAL_MACS = 'other real MACs'
ADDS = 'additions'
COMPARISONS = 'comparisons'
OTHER = 'other operations'
UPDATES = 'neuron updates'

#: Everything that can cost energy: additions caused by spikes at synapses;
#: multiply-accumulates of synapses on real input; multiply-accumulates of
#: other ops (interpolation, norm); real additions, comparisons and other
#: operations; updates of neurons, one per neuron and sub-step.
CAUSES = (SYNAPSE_ACS, SYNAPSE_MACS, REAL_MACS, ADDS, COMPARISONS, OTHER,
          UPDATES)

Counts = dict[str, int | Fraction]


def is_spiking_synapse(record: 'OpRecord') -> bool:
    """Whether spikes drive the op and it is one of :data:`SYNAPSES`."""
    return record.spiking and record.kind in SYNAPSES


def spiking_counts(record: 'OpRecord') -> Counts:
    """Operations in spike-train form, as the trace recorded them.

    Example:
        >>> from mmsnn.conversion.trace import OpRecord
        >>> counts = spiking_counts(OpRecord('fc', 'linear', 'linear',
        ...                                  spiking=True, sops=6, adds=2))
        >>> {cause: count for cause, count in counts.items() if count}
        {'synapse ACs': 6, 'additions': 2}
    """
    synapse = record.kind in SYNAPSES
    return {
        SYNAPSE_ACS: record.sops,
        SYNAPSE_MACS: record.macs if synapse else 0,
        REAL_MACS: 0 if synapse else record.macs,
        ADDS: record.adds,
        COMPARISONS: record.comparisons,
        OTHER: record.other,
        UPDATES: record.neurons * record.max_spikes,
    }


def twin_counts(record: 'OpRecord') -> Counts:
    """Operations in a twin: every synapse is dense multiply-accumulates,
    every other op is as in spike-train form, and activations are free. Where
    one image is repeated over time steps, the twin sees it once.

    Example:
        >>> from mmsnn.conversion.trace import OpRecord
        >>> counts = twin_counts(OpRecord('fc', 'linear', 'linear',
        ...                               dense_ops=8, sops=6, adds=2))
        >>> {cause: str(count) for cause, count in counts.items() if count}
        {'synapse MACs': '8', 'additions': '2'}
    """
    counts = spiking_counts(record)
    counts[SYNAPSE_ACS] = counts[UPDATES] = 0
    if record.kind in SYNAPSES:
        counts[SYNAPSE_MACS] = record.dense_ops
    return {k: Fraction(v, record.repeats) for k, v in counts.items()}


def formula_counts(record: 'OpRecord') -> Counts:
    """Operations by the formula of the paper's supplement S1: ``FL * r`` for
    a spiking synapse, ``FL`` for a synapse on real input, nothing else.

    Raises:
        ValueError: If a spiking synapse has no rate.

    Example:
        >>> from mmsnn.conversion.trace import OpRecord
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
