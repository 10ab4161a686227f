"""The report of an evaluation in spike-train form: metrics, proof, energy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmsnn.hardware.operations.results import OperationsEstimate
from mmsnn.hardware.plots.operations import operation_pictures
from mmsnn.hardware.plots.style import Picture
from mmsnn.trace import OpTrace

from . import facts
from .html_page import write_page
from .metrics import compare_metrics
from .rates import rate_pictures


@dataclass
class EvaluationReport:
    """Everything that the report of an evaluation shows.

    What is left out here appears in the report as not measured.

    Attributes:
        title (str): Heading.
        description (str): What was run, in a sentence.
        config (str): Name of the config.
        training_metrics (Mapping[str, Any]): Metrics in training form, of
            any kind.
        spike_train_metrics (Mapping[str, Any]): Metrics in spike-train form.
        equality (Sequence[EqualityReport]): Comparisons of the spike counts
            of both forms, e.g. one in float64 and one in float32.
        estimate (OperationsEstimate, optional): Energies by operation.
        trace (OpTrace, optional): What every op did: the report shows its
            audit (ops that no spike drives) and its firing rates.
        pictures (Sequence[Picture]): (file name, figure, caption) of further
            pictures, such as predictions. Plots of energies and rates are
            made from ``estimate`` and ``trace``.
        provenance (Mapping[str, Any]): What is needed to repeat the run, by
            name. A value may be a mapping itself.
    """

    title: str
    description: str = ''
    config: str = ''
    training_metrics: Mapping[str, Any] = field(default_factory=dict)
    spike_train_metrics: Mapping[str, Any] = field(default_factory=dict)
    equality: Sequence[Any] = ()
    estimate: OperationsEstimate | None = None
    trace: OpTrace | None = None
    pictures: Sequence[Picture] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_evaluation_report(path: str | Path,
                            report: EvaluationReport) -> list[Path]:
    """Write the report of an evaluation as self-contained HTML, with its
    pictures as PNG beside it.

    Args:
        path (str | Path): HTML file to write; its folder is made.
        report (EvaluationReport): What to show.

    Returns:
        list[Path]: The files written, the HTML file first.

    Raises:
        ValueError: If ``path`` is no .html file, or if a picture has no
            plain .png name or the name of another.

    Example:
        >>> import tempfile
        >>> report = EvaluationReport('A run', training_metrics={'top1': 78.5})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = write_evaluation_report(f'{folder}/a.html', report)
        >>> [path.name for path in files]
        ['a.html']
    """
    trace, estimate = report.trace, report.estimate
    return write_page(
        path,
        'evaluation.html.j2',
        report,
        dict(
            energy=operation_pictures(estimate) if estimate else [],
            rates=rate_pictures(trace) if trace else [],
            pictures=report.pictures),
        metrics=compare_metrics(report.training_metrics,
                                report.spike_train_metrics),
        answers=facts.answers(estimate, trace, report.equality),
        sentence=facts.equality_sentence,
        products=[r for r in trace or () if r.kind == 'matmul'],
        audit=trace.audit() if trace else [],
        firing_rate=trace.firing_rate() if trace else [],
        ratios={c.spiking: c
                for c in estimate.comparisons} if estimate else {})

