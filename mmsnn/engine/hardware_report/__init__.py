"""A model on chips: images through it, and the report of what they gave."""

from .files import write_all
from .make import estimates, load_chips, make_report
from .measure import Measured, measure
from .points import read_points
from .text import format_report

__all__ = [
    'Measured', 'estimates', 'format_report', 'load_chips', 'make_report',
    'measure', 'read_points', 'write_all'
]
