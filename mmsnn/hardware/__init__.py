"""Energy and time of spiking networks on chips, from their op trace.

In: an op trace (:mod:`mmsnn.trace`) and chip specs. Out: estimates that
print, plot and save themselves. :func:`estimate` is the way in.
"""

from .amounts import Range, Spread
from .chips.figures import Constant, Figure, MissingFigureError
from .chips.spec import Chip, list_chips, load_chip, load_chips
from .estimates import Estimate, estimate
from .mapping.mapper import map_network
from .network.from_trace import network_from_trace
from .network.populations import Network, Population
from .network.projections import Geometry, Projection
from .on_chip.results import ChipEstimate, RowCost
from .operations.results import (
    Difference,
    EnergyResult,
    LayerEnergy,
    OperationsEstimate,
    TwinComparison,
)

__all__ = [
    'Chip', 'ChipEstimate', 'Constant', 'Difference', 'EnergyResult',
    'Estimate', 'Figure', 'Geometry', 'LayerEnergy', 'MissingFigureError',
    'Network', 'OperationsEstimate', 'Population', 'Projection', 'Range',
    'RowCost', 'Spread', 'TwinComparison', 'estimate', 'list_chips',
    'load_chip', 'load_chips', 'map_network', 'network_from_trace'
]
