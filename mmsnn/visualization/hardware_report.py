"""The report on chips: one self-contained HTML file, and its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmsnn.files import write_whole
from mmsnn.hardware import ChipEstimate, Estimate
from mmsnn.hardware.amounts import Spread
from mmsnn.hardware.form_comparison import FormComparison
from mmsnn.hardware.on_chip.spread import ChipSpread
from mmsnn.hardware.operations.paper import HIDDEN, HiddenCost, ImpliedCount
from mmsnn.hardware.operations.traffic import Traffic
from mmsnn.trace import OpTrace

from .chip_plots import (
    plot_chip_causes,
    plot_chip_layers,
    plot_energy_accuracy,
    plot_spike_maps,
    plot_utilisation,
)
from .report import Picture, ReportData, encode, environment, own_plots


@dataclass
class HardwareReport:
    """Everything the report shows; what is missing is named.

    Attributes:
        title (str): Heading.
        description (str): What was run.
        trace (OpTrace): Of the images.
        estimates (Sequence[Estimate]): Of specs that price operations.
        chips (Sequence[ChipEstimate]): Of specs that have cores.
        failed (Mapping[str, str]): Chips without a result, and why.
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
            :func:`~mmsnn.visualization.chip_plots.plot_energy_accuracy`.
        spike_maps (Mapping[str, ndarray]): By layer, of one image.
        provenance (Mapping[str, Any]): What is needed to repeat it.
    """

    title: str
    description: str
    trace: OpTrace
    estimates: Sequence[Estimate] = ()
    chips: Sequence[ChipEstimate] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
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
        report=report, pictures=pictures, kinds=HIDDEN)
    for name, data in files.items():
        write_whole(path.with_name(name), data)
    write_whole(path, html)
    return [path, *(path.with_name(name) for name in files)]


def _plots(report: HardwareReport) -> dict[str, list[Picture]]:
    first, *others = report.estimates or (None, )
    energy, rates = own_plots(
        ReportData('', estimate=first, trace=report.trace))
    for e in others:
        energy += [(f'{e.chip}_{name}', figure, f'{e.title}: {caption}')
                   for name, figure, caption in own_plots(
                       ReportData('', estimate=e))[0]]
    if report.spike_maps:
        rates.append(('spike_maps.png', plot_spike_maps(report.spike_maps),
                      ('Share of the channels that fire at each position, by '
                       "sub-step, of one image (as the paper's figure 8).")))
    chips: list[Picture] = []
    priced = [e for e in report.chips if e.energy_mj]
    if priced:
        chips.append(('chips_energy.png', plot_chip_causes(priced),
                      ('Energy of one image by cause; upper end of ranges. '
                       'Each chip has an axis of its own. Hatched: some '
                       'causes have no known figure and are not in the bar.')))
    for name, e in zip(chip_names(report.chips), report.chips):
        if any(row.energy_mj for row in e.rows):
            chips.append((f'{name}_layers.png', plot_chip_layers(e),
                          ('Energy by layer (what ends in it included) and '
                           'cause.')))
        if e.utilisation.size:
            chips.append((f'{name}_utilisation.png', plot_utilisation(e),
                          ('Busy share of each core while images follow each '
                           'other.')))
    accuracy: list[Picture] = []
    if report.points:
        accuracy.append(
            ('energy_accuracy.png', plot_energy_accuracy(report.points),
             'Energy in spike-train form (FP32 weights) over the metric.'))
    return dict(energy=energy, rates=rates, chips=chips, accuracy=accuracy)


def chip_names(estimates: Sequence[ChipEstimate]) -> list[str]:
    """A name for files of each estimate: of its chip, with the timing where
    several are of one chip, and a number where that is not enough."""
    names: list[str] = []
    chips = [e.chip for e in estimates]
    for e in estimates:
        name = e.chip if chips.count(e.chip) == 1 else f'{e.chip}_{e.timing}'
        same = sum(n == name or n.startswith(f'{name}_no') for n in names)
        names.append(f'{name}_no{same + 1}' if same else name)
    return names
