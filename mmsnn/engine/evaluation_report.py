"""The report of an evaluation, from what the Runner knows of it."""

from pathlib import Path

from mmsnn.conversion.upstream.double import precision
from mmsnn.engine.provenance import of_runner
from mmsnn.files import dump_json
from mmsnn.hardware import OperationsEstimate
from mmsnn.hardware.tables import write_operations_csv
from mmsnn.visualization import EvaluationReport, write_evaluation_report


def report_evaluation(folder: Path, runner, evaluation,
                            energy: OperationsEstimate,
                            training_metrics: dict[str, float],
                            metrics: dict[str, float], samples) -> Path:
    """Write ``report.html``, its pictures, ``energy.json``, ``energy.csv``
    and ``trace.json``.

    Args:
        folder (Path): Where to.
        runner (Runner): mmengine's Runner.
        evaluation (SpikeEvaluation): What was measured.
        energy (OperationsEstimate): Its energy.
        training_metrics (dict[str, float]): Metrics in training form.
        metrics (dict[str, float]): Metrics in spike-train form.
        samples (PictureCollector): For the pictures.

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
            provenance=of_runner(runner)))[0]
