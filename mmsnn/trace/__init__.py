"""What a run did, as plain data.

In: what :mod:`mmsnn.conversion` records, or a file. Out: what every op did,
read by :mod:`mmsnn.hardware` and :mod:`mmsnn.visualization`. Needs neither
PyTorch nor any other part of mmsnn but :mod:`mmsnn.files`.
"""

from .reads import Reads
from .record import (
    KINDS,
    MOST_IMAGES,
    SYNAPSES,
    OpRecord,
    is_spiking_synapse,
    own_neurons,
)
from .run_statistics import RunStatistics, total_amounts
from .trace import INPUT, UNKNOWN, OpTrace, Source

__all__ = [
    'INPUT', 'KINDS', 'MOST_IMAGES', 'SYNAPSES', 'UNKNOWN', 'OpRecord',
    'OpTrace', 'Reads', 'RunStatistics', 'Source', 'is_spiking_synapse',
    'own_neurons', 'total_amounts'
]
