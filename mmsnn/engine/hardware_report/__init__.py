"""What a model costs on chips, as a report.

In: a config, a checkpoint, chip specs. Out: test images are run
(:func:`measure`), the report is computed from what they gave
(:func:`make_report`), and written (:func:`write_hardware_files`).
"""

from .files import write_hardware_files
from .make import make_report
from .measure import Measured, measure
from .points import read_points
from .text import format_report

__all__ = [
    'Measured', 'format_report', 'make_report', 'measure', 'read_points',
    'write_hardware_files'
]
