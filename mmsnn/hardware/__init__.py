"""Energy of spiking networks: everything is a function of an op trace."""

from .chip import Chip, Figure, MissingFigureError, list_chips, load_chip
from .energy import estimate
from .results import (
    Comparison,
    Constant,
    Difference,
    EnergyResult,
    Estimate,
    LayerEnergy,
)
from .tables import format_table, write_csv, write_json

__all__ = [
    'Chip', 'Comparison', 'Constant', 'Difference', 'EnergyResult',
    'Estimate', 'Figure', 'LayerEnergy', 'MissingFigureError', 'estimate',
    'format_table', 'list_chips', 'load_chip', 'write_csv', 'write_json'
]
