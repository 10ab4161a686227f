"""The report of what a model costs on chips: energy, time, fit, traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

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
from .html_page import write_page
from .rates import plot_spike_maps, rate_pictures


@dataclass
class HardwareReport:
    """Everything that the report of a model on chips shows.

    What is left out here appears in the report as not measured.

    Attributes:
        title (str): Heading.
        description (str): What was run, in a sentence.
        trace (OpTrace): What every op did, on all images.
        estimate (Estimate): Energy by operation, and energy and time on chips
            with cores, per image.
        spreads (Mapping[str, Mapping[str, Spread]]): Name of a chip spec, then
            key of a result, such as ``spiking_fp32`` -> how its energy (mJ)
            differs between images.
        chip_spreads (Sequence[ChipSpread]): How energy and time differ
            between images on chips with cores.
        rates (Mapping[str, Spread]): Module path of a spiking synapse, or
            ``network`` -> how its firing rate differs between images.
        traffic (Sequence[Traffic]): Memory accesses of each op.
        hidden (Sequence[HiddenCost]): Multiplications that no spike drives.
        implied (ImpliedCount, optional): Spike count that a reported power
            implies.
        free_running (str, optional): How wrong the free running form was, in
            words, or why that was not measured.
        beside_lossless (Sequence[FormComparison]): What the free running form
            costs beside the lossless one, for one image.
        metrics (Mapping[str, float]): Metrics in spike-train form, by name.
        points (Sequence[Mapping]): Energy and accuracy of this run and of
            others, see :func:`~mmsnn.visualization.plot_energy_accuracy`.
        spike_maps (Mapping[str, ndarray]): Module path of a layer -> where
            its neurons fire, (sub-steps, H, W), see
            :func:`~mmsnn.visualization.plot_spike_maps`.
        provenance (Mapping[str, Any]): What is needed to repeat the run, by
            name. A value may be a mapping itself.
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
        """Number of images that all means are over."""
        return self.trace.images


def write_hardware_report(path: str | Path,
                          report: HardwareReport) -> list[Path]:
    """Write the report of a model on chips as self-contained HTML, with its
    pictures as PNG beside it.

    Args:
        path (str | Path): HTML file to write; its folder is made.
        report (HardwareReport): What to show.

    Returns:
        list[Path]: The files written, the HTML file first.

    Raises:
        ValueError: If ``path`` is no .html file.

    Example:
        >>> import tempfile
        >>> report = HardwareReport('A run', 'On one chip.',
        ...                         OpTrace(images=1))
        >>> path = Path(tempfile.mkdtemp()) / 'report.html'
        >>> [p.name for p in write_hardware_report(path, report)]
        ['report.html']
    """
    return write_page(path, 'hardware.html.j2', report, _plots(report),
                      kinds=HIDDEN)


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
