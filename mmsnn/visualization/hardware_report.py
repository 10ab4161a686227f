"""The report on chips: one self-contained HTML file, and its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmsnn.files import write_whole
from mmsnn.hardware import Estimate
from mmsnn.hardware.amounts import Spread
from mmsnn.hardware.form_comparison import FormComparison
from mmsnn.hardware.on_chip.spread import ChipSpread
from mmsnn.hardware.operations.paper import HIDDEN, HiddenCost, ImpliedCount
from mmsnn.hardware.operations.traffic import Traffic
from mmsnn.hardware.plots.on_chip import chip_pictures
from mmsnn.hardware.plots.style import Picture
from mmsnn.trace import OpTrace

from .energy_accuracy import plot_energy_accuracy
from .evaluation_report import (
    encode,
    environment,
    provenance_rows,
    rate_pictures,
)
from .rates import plot_spike_maps


@dataclass
class HardwareReport:
    """Everything the report shows; what is missing is named.

    Attributes:
        title (str): Heading.
        description (str): What was run.
        trace (OpTrace): Of the images.
        estimate (Estimate): Energy and time on chips.
        spreads (Mapping[str, Mapping[str, Spread]]): Of energies, by chip
            and key of the result.
        chip_spreads (Sequence[ChipSpread]): Of energies and times on chips
            with cores.
        rates (Mapping[str, Spread]): By module.
        traffic (Sequence[Traffic]): By op.
        hidden (Sequence[HiddenCost]): Multiplications without spikes.
        implied (ImpliedCount, optional): Of a reported power.
        free_running (str, optional): How wrong that form was.
        beside_lossless (Sequence[FormComparison]): What it costs, of one
            image.
        metrics (Mapping[str, float]): In spike-train form.
        points (Sequence[Mapping]): See
            :func:`~mmsnn.visualization.plot_energy_accuracy`.
        spike_maps (Mapping[str, ndarray]): By layer, of one image.
        provenance (Mapping[str, Any]): What is needed to repeat it.
    """

    title: str
    description: str
    trace: OpTrace
    estimate: Estimate = Estimate()
    spreads: Mapping[str, Mapping[str, Spread]] = field(default_factory=dict)
    chip_spreads: Sequence[ChipSpread] = ()
    rates: Mapping[str, Spread] = field(default_factory=dict)
    traffic: Sequence[Traffic] = ()
    hidden: Sequence[HiddenCost] = ()
    implied: ImpliedCount | None = None
    free_running: str | None = None
    beside_lossless: Sequence[FormComparison] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    points: Sequence[Mapping] = ()
    spike_maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Images that means are over."""
        return self.trace.images


def write_hardware_report(path: str | Path,
                          report: HardwareReport) -> list[Path]:
    """Write the report as self-contained HTML, its pictures as PNG beside it.

    Args:
        path (str | Path): The HTML file; its folder is made.
        report (HardwareReport): What to show.

    Returns:
        list[Path]: The files written, the HTML file first.
    """
    path = Path(path)
    pictures, files = {}, {}
    for group, plots in _plots(report).items():
        pictures[group], written = encode(plots)
        files.update(written)
    html = environment().get_template('hardware.html.j2').render(
        report=report,
        pictures=pictures,
        kinds=HIDDEN,
        provenance=provenance_rows(report.provenance))
    for name, data in files.items():
        write_whole(path.with_name(name), data)
    write_whole(path, html)
    return [path, *(path.with_name(name) for name in files)]


def _plots(report: HardwareReport) -> dict[str, list[Picture]]:
    rates = rate_pictures(report.trace)
    if report.spike_maps:
        rates.append(('spike_maps.png', plot_spike_maps(report.spike_maps),
                      'Share of the channels that fire at each position, by '
                      "sub-step, of one image (as the paper's figure 8)."))
    accuracy: list[Picture] = []
    if report.points:
        accuracy.append(
            ('energy_accuracy.png', plot_energy_accuracy(report.points),
             'Energy in spike-train form (FP32 weights) over the metric.'))
    return dict(
        energy=report.estimate.plot_operations(),
        rates=rates,
        chips=chip_pictures(report.estimate.on_chip),
        accuracy=accuracy)
