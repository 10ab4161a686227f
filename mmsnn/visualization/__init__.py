"""Plots of estimates, rates and predictions, and the report of a run."""

from .chip_plots import (
    plot_chip_causes,
    plot_chip_layers,
    plot_energy_accuracy,
    plot_spike_maps,
    plot_utilisation,
)
from .classification import ClassificationSample, plot_classifications
from .detections import DetectionSample, Objects, plot_detections
from .hardware_report import HardwareReport, write_hardware_report
from .image_result import plot_image_result
from .plots import (
    plot_energy_by_layer,
    plot_energy_totals,
    plot_firing_rate,
    plot_rate_by_layer,
)
from .predictions import SegmentationSample, colorize, plot_predictions
from .reconstructions import plot_reconstructions
from .report import ReportData, write_report

__all__ = [
    'ClassificationSample', 'DetectionSample', 'HardwareReport', 'Objects',
    'ReportData', 'SegmentationSample', 'colorize', 'plot_chip_causes',
    'plot_chip_layers', 'plot_classifications', 'plot_detections',
    'plot_energy_accuracy', 'plot_energy_by_layer', 'plot_energy_totals',
    'plot_firing_rate', 'plot_image_result', 'plot_predictions',
    'plot_rate_by_layer', 'plot_reconstructions', 'plot_spike_maps',
    'plot_utilisation', 'write_hardware_report', 'write_report'
]
