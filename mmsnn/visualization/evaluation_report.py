"""The report of an evaluation: one self-contained HTML file, and its
pictures."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Any,
)

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from mmsnn.files import write_whole
from mmsnn.hardware.amounts import Amount, scaled
from mmsnn.hardware.operations.results import OperationsEstimate
from mmsnn.hardware.plots.operations import operation_pictures
from mmsnn.hardware.plots.style import Picture
from mmsnn.trace import OpTrace, is_spiking_synapse

from . import facts
from .rates import plot_firing_rate, plot_rate_by_layer

#: What a reader needs to repeat a run; a report names those that it lacks.
PROVENANCE = ('date', 'versions', 'machine', 'command', 'seed', 'checkpoint')

#: A plot has fewer, a photograph more.
MOST_COLOURS = 16384


@dataclass
class EvaluationReport:
    """Everything a report shows. What is left out is named as not measured.

    Attributes:
        title (str): Heading.
        description (str): What was run, in a sentence.
        config (str): Name of the config.
        training_metrics (dict[str, float]): Metrics in training form.
        spike_train_metrics (dict[str, float]): Metrics in spike-train form.
        equality (Sequence): Equality reports, e.g. in float64 and float32,
            each with ``dtype``, ``images``, ``total_neurons``,
            ``total_differences``, ``output_error``, ``outputs_agree`` and
            ``rows`` (``module``, ``neurons``, ``differences``,
            ``max_difference``, ``training_spikes``,
            ``spike_train_spikes``).
        estimate (OperationsEstimate, optional): Energies.
        trace (OpTrace, optional): For the audit and the rates.
        pictures (Sequence): (file name, figure, caption) of further
            pictures, such as predictions. Plots of energies and rates are
            made from ``estimate`` and ``trace``.
        provenance (Mapping): By name, the names of :data:`PROVENANCE`
            first; a value may be a mapping itself.
    """

    title: str
    description: str = ''
    config: str = ''
    training_metrics: dict[str, float] = field(default_factory=dict)
    spike_train_metrics: dict[str, float] = field(default_factory=dict)
    equality: Sequence[Any] = ()
    estimate: OperationsEstimate | None = None
    trace: OpTrace | None = None
    pictures: Sequence[Picture] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_evaluation_report(path: str | Path,
                            report: EvaluationReport) -> list[Path]:
    """Write a report as self-contained HTML, with its pictures as PNG beside
    it in the same folder. Each file is written whole or not at all, the HTML
    last.

    Args:
        path (str | Path): HTML file to write; its folder is made.
        report (EvaluationReport): What to show.

    Returns:
        list[Path]: The files written, the HTML file first.

    Raises:
        ValueError: If ``path`` is no .html file, or if a picture has no
            plain .png name or the name of another.
    """
    path = Path(path)
    if path.suffix != '.html':
        raise ValueError(f'a report is an .html file, got {path}')
    groups = {
        'energy': operation_pictures(report.estimate)
        if report.estimate is not None else [],
        'rates': rate_pictures(report.trace),
        'pictures': report.pictures
    }
    _check_names([p[0] for pictures in groups.values() for p in pictures])
    rendered, written = {}, {}
    for group, pictures in groups.items():
        rendered[group], files = encode(pictures)
        written.update(files)
    html = render(report, rendered)
    for name, data in written.items():
        write_whole(path.with_name(name), data)
    write_whole(path, html)
    return [path, *(path.with_name(name) for name in written)]


def render(report: EvaluationReport, pictures: dict[str, list[dict]]) -> str:
    """The HTML of a report, for pictures that are already encoded."""
    template = environment().get_template('evaluation.html.j2')
    trace, estimate = report.trace, report.estimate
    return template.render(
        report=report,
        metrics=_metric_rows(report),
        answers=facts.answers(estimate, trace, report.equality),
        sentence=facts.equality_sentence,
        products=[r for r in trace or () if r.kind == 'matmul'],
        audit=trace.audit() if trace is not None else [],
        firing_rate=trace.firing_rate() if trace is not None else [],
        ratios={c.spiking: c
                for c in estimate.comparisons} if estimate else {},
        pictures=pictures,
        provenance=provenance_rows(report.provenance))


def environment() -> Environment:
    """Where templates are found, and how they write numbers."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined)
    found.filters.update(
        count=facts.count,
        arithmetic=facts.arithmetic,
        figure=_figure_text,
        amount=_amount_text,
        difference=_difference_text)
    return found


def encode(pictures: Sequence[Picture]) -> tuple[list[dict], dict[str, bytes]]:
    """Pictures for a template, and as PNG by file name."""
    written = {name: _png(figure) for name, figure, _ in pictures}
    return [{
        'name': name,
        'caption': caption,
        'data': base64.b64encode(written[name]).decode()
    } for name, _, caption in pictures], written


def rate_pictures(trace: OpTrace | None) -> list[Picture]:
    """Plots of firing rates, of a trace that holds some."""
    pictures: list[Picture] = []
    if trace is not None and trace.firing_rate():
        pictures.append(
            ('firing_rate.png', plot_firing_rate(trace.firing_rate()),
             'Network spike firing rate: 0/1 spikes of all neurons in a '
             'sub-step over the number of neurons.'))
    if trace is not None and any(map(is_spiking_synapse, trace)):
        pictures.append(
            ('rate_by_layer.png', plot_rate_by_layer(trace),
             'Rate of every spiking synapse: spikes that arrive per input '
             'element and image, summed over time steps and sub-steps.'))
    return pictures


def _check_names(names: list[str]) -> None:
    for name in names:
        if Path(name).name != name or not name.endswith('.png'):
            raise ValueError(f'a picture has a plain .png name, got {name!r}')
        if names.count(name) > 1:
            raise ValueError(f'two pictures are called {name}')


def _png(figure: Figure) -> bytes:
    """Plots, unlike photographs, get a palette of their own, which takes a
    third of the space."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format='png', dpi=120)
    with Image.open(drawn) as image:
        colours = image.convert('RGB')
    if not colours.getcolors(MOST_COLOURS):
        return drawn.getvalue()
    colours.quantize(256).save(small, 'png', optimize=True)
    return small.getvalue()


def _figure_text(value: float) -> str:
    """Four significant digits, thousands separated."""
    if value and abs(value) >= 1e4:
        return f'{value:,.0f}'
    return f'{value:.4g}'


def _amount_text(value: Amount, spec: str = '.4g', factor: float = 1) -> str:
    """A number or a range, times a factor."""
    return format(scaled(value, factor), spec)


def _difference_text(value: float) -> str:
    return f'{value:+.3g}' if value else '0'


def _metric_rows(report: EvaluationReport) -> list[dict]:
    training, spikes = report.training_metrics, report.spike_train_metrics
    rows = []
    for name in dict.fromkeys([*training, *spikes]):
        a, b = training.get(name), spikes.get(name)
        rows.append(
            {
                'name': name,
                'training': a,
                'spike_train': b,
                'difference': None if a is None or b is None else b - a})
    return rows


def provenance_rows(given: Mapping[str, Any]) -> dict[str, str | None]:
    """What is needed to repeat a run, as texts by name.

    Args:
        given (Mapping[str, Any]): By name; a value may be a mapping itself.

    Returns:
        dict[str, str | None]: None for what is not recorded of
        :data:`PROVENANCE`.
    """
    texts = {}
    for name in dict.fromkeys([*PROVENANCE, *given]):
        value = given.get(name)
        if isinstance(value, Mapping):
            value = ', '.join(f'{k} {v}' for k, v in value.items())
        texts[name] = None if value in (None, '') else str(value)
    return texts
