"""A model on chips: images through it, and the report of what they gave."""

from .files import write_all
from .make import make_report
from .measure import Measured, measure
from .points import read_points
from .text import format_report

__all__ = [
    'Measured', 'format_report', 'make_report',
    'measure', 'read_points', 'write_all'
]
