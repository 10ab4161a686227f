"""A model on chips: images through it, and the report of what they gave."""

from .files import write_all
from .make import estimates, make_report
from .measure import Measured, measure
from .text import format_report

__all__ = [
    'Measured', 'estimates', 'format_report', 'make_report', 'measure',
    'write_all'
]
