"""Energy and time of spiking networks, from their op trace or network."""

from .amounts import Range
from .chips.figures import Constant, Figure, MissingFigureError
from .chips.spec import Chip, list_chips, load_chip
from .mapping.mapper import map_network
from .network.from_trace import network_from_trace
from .network.populations import Geometry, Network, Population, Projection
from .on_chip.estimate import estimate_on_chip, estimates_on_chip
from .on_chip.results import ChipEstimate, RowCost
from .operations.estimate import estimate
from .operations.results import (
    Difference,
    EnergyResult,
    LayerEnergy,
    OperationsEstimate,
    TwinComparison,
)
from .tables import format_table, write_csv, write_json

__all__ = [
    'Chip', 'ChipEstimate', 'Comparison', 'Constant', 'Difference',
    'EnergyResult', 'Estimate', 'Figure', 'Geometry', 'LayerEnergy',
    'MissingFigureError', 'Network', 'Population', 'Projection', 'Range',
    'RowCost', 'estimate', 'estimate_on_chip', 'estimates_on_chip',
    'format_table', 'list_chips', 'load_chip', 'map_network',
    'network_from_trace', 'write_csv', 'write_json'
]
