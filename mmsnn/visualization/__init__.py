"""Pictures and reports.

In: results of :mod:`mmsnn.hardware`, op traces, predictions. Out: figures, and
HTML reports with their pictures.
"""

from .classification import plot_classifications
from .detections import Objects, plot_detections
from .energy_accuracy import plot_energy_accuracy
from .evaluation_report import EvaluationReport, write_evaluation_report
from .hardware_report import HardwareReport, write_hardware_report
from .image_result import plot_image_result
from .predictions import colorize, plot_predictions
from .rates import plot_firing_rate, plot_rate_by_layer, plot_spike_maps
from .reconstructions import plot_reconstructions
from .sample import PictureSample

__all__ = [
    'EvaluationReport', 'HardwareReport', 'Objects', 'PictureSample',
    'colorize', 'plot_classifications', 'plot_detections',
    'plot_energy_accuracy', 'plot_firing_rate', 'plot_image_result',
    'plot_predictions', 'plot_rate_by_layer', 'plot_reconstructions',
    'plot_spike_maps', 'write_evaluation_report', 'write_hardware_report'
]
