"""Energy and time of spiking networks, from their op trace or network."""

from .chip import Chip, list_chips, load_chip
from .chip_results import ChipEstimate, RowCost
from .energy import estimate
from .figures import Constant, Figure, MissingFigureError, Range
from .from_trace import network_from_trace
from .mapping import map_network
from .network import Geometry, Network, Population, Projection
from .on_chip import estimate_on_chip, estimates_on_chip
from .results import (
    Comparison,
    Difference,
    EnergyResult,
    Estimate,
    LayerEnergy,
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
