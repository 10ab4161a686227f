"""The report of an evaluation in spike-train form by a Runner."""

from pathlib import Path

from mmsnn.conversion.upstream.double import precision
from mmsnn.files import dump_json
from mmsnn.hardware import OperationsEstimate
from mmsnn.hardware.tables import write_operations_csv
from mmsnn.visualization import EvaluationReport, write_evaluation_report

from .provenance import runner_provenance


def write_evaluation_files(folder: Path, runner, evaluation,
                           energy: OperationsEstimate,
                           training_metrics: dict[str, float],
                           metrics: dict[str, float], samples) -> Path:
    """Write ``report.html`` and its pictures, ``energy.json`` and
    ``energy.csv`` (energy by operation) and ``trace.json`` (the op trace).

    Args:
        folder (Path): Where to write; it is made if it is missing.
        runner (Runner): mmengine's Runner that evaluated the model.
        evaluation (SpikeEvaluation): What it ran and compared, finished.
        energy (OperationsEstimate): Energy per image that ``finish`` gave.
        training_metrics (dict[str, float]): Metrics in training form, by
            name.
        metrics (dict[str, float]): Metrics in spike-train form, by name.
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
    return write_evaluation_report(
        folder / 'report.html',
        EvaluationReport(
            title=f'{runner.experiment_name.rpartition("_2")[0]}: '
            'spike-driven inference',
            description=f'{evaluation.trace.images} images, evaluated with '
            f'{described}, in {kind}.',
            config=Path(runner.cfg.filename or '').name,
            training_metrics=training_metrics,
            spike_train_metrics={k: float(v)
                                 for k, v in metrics.items()},
            equality=evaluation.equality,
            estimate=energy,
            trace=evaluation.trace,
            pictures=samples.pictures(),
            provenance=runner_provenance(runner)))[0]
