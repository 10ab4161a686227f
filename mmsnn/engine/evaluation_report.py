"""The report of an evaluation in spike-train form by a Runner."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmsnn.conversion.upstream.double import precision
from mmsnn.files import dump_json
from mmsnn.hardware import OperationsEstimate
from mmsnn.hardware.tables import write_operations_csv
from mmsnn.visualization import EvaluationReport, write_evaluation_report
from mmsnn.visualization.metrics import (
    compare_metrics,
    json_metrics,
    json_value,
)

from .provenance import runner_provenance


def write_evaluation_files(folder: Path, runner, evaluation,
                           energy: OperationsEstimate,
                           training_metrics: Mapping[str, Any],
                           metrics: Mapping[str, Any], samples) -> Path:
    """Write ``report.html`` and its pictures, ``energy.json`` and
    ``energy.csv`` (energy by operation), ``trace.json`` (the op trace) and
    ``metrics.json`` (metrics of both forms, and how equal these are).

    Args:
        folder (Path): Where to write; it is made if it is missing.
        runner (Runner): mmengine's Runner that evaluated the model.
        evaluation (SpikeEvaluation): What it ran and compared, finished.
        energy (OperationsEstimate): Energy per image that ``finish`` gave.
        training_metrics (Mapping[str, Any]): Metrics in training form, by
            name, of any kind.
        metrics (Mapping[str, Any]): Metrics in spike-train form.
        samples (PictureCollector): Samples that were kept for pictures.

    Returns:
        Path: The HTML file.
    """
    form = evaluation.spiking.form
    described = dict(
        spikes='binary spike trains, sub-step by sub-step',
        counts='spike counts (nothing is expanded; the counts are those of '
        'the spike trains)')[form]
    kind = str(precision(evaluation.spiking)).rpartition('.')[2]
    evaluation.trace.save(folder / 'trace.json')
    dump_json(folder / 'energy.json', energy.to_dict())
    write_operations_csv(folder / 'energy.csv', energy)
    dump_json(
        folder / 'metrics.json',
        dict(
            training_form=json_metrics(training_metrics),
            spike_train_form=json_metrics(metrics),
            difference={
                row.name: json_value(row.difference)
                for row in compare_metrics(training_metrics, metrics)
            },
            equality=[_equality(report) for report in evaluation.equality]))
    return write_evaluation_report(
        folder / 'report.html',
        EvaluationReport(
            title=f'{runner.experiment_name.rpartition("_2")[0]}: '
            'spike-driven inference',
            description=f'{evaluation.trace.images} images, evaluated with '
            f'{described}, in {kind}.',
            config=Path(runner.cfg.filename or '').name,
            training_metrics=training_metrics,
            spike_train_metrics=metrics,
            equality=evaluation.equality,
            estimate=energy,
            trace=evaluation.trace,
            pictures=samples.pictures(),
            provenance=runner_provenance(runner)))[0]


def _equality(report) -> dict[str, Any]:
    """A comparison of both forms as JSON has it, with its totals."""
    fields = {k: json_value(v) for k, v in asdict(report).items()}
    return dict(
        fields, equal=report.equal, total_neurons=report.total_neurons,
        total_differences=report.total_differences,
        total_ties=report.total_ties, silent=report.silent)
