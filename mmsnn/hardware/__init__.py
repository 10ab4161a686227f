"""Energy of spiking networks: everything is a function of an op trace."""

from .chip import Chip, list_chips, load_chip
from .energy import estimate
from .figures import Constant, Figure, MissingFigureError, Range
from .from_trace import network_from_trace
from .results import (
    Comparison,
    Difference,
    EnergyResult,
    Estimate,
    LayerEnergy,
)
from .tables import format_table, write_csv, write_json

__all__ = [
    'Chip', 'Comparison', 'Constant', 'Difference', 'EnergyResult',
    'Estimate', 'Figure', 'LayerEnergy', 'MissingFigureError', 'estimate',
    'format_table', 'list_chips', 'load_chip', 'network_from_trace',
    'write_csv', 'write_json'
]
