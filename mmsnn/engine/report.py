"""The report of an evaluation, from what the Runner knows of it."""

import platform
import sys
from datetime import datetime
from pathlib import Path

import mmcv
import mmengine
import torch

import mmsnn
from mmsnn.conversion.upstream.double import precision
from mmsnn.hardware import Estimate, write_csv, write_json
from mmsnn.visualization import ReportData, write_report


def provenance(runner) -> dict:
    """What is needed to repeat the run.

    Args:
        runner (Runner): mmengine's Runner.

    Returns:
        dict: Date, versions, machine, command, seed and checkpoint.
    """
    return dict(
        date=datetime.now().astimezone().isoformat(timespec='seconds'),
        versions=dict(
            mmsnn=mmsnn.__version__,
            torch=torch.__version__,
            mmengine=mmengine.__version__,
            mmcv=mmcv.__version__,
            python=platform.python_version()),
        machine=f'{processor()}, {torch.get_num_threads()} threads',
        command=' '.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        seed=runner.seed,
        checkpoint=Path(runner._load_from).name
        if runner._load_from else f'weights of iteration {runner.iter}')


def processor(device: str | None = None) -> str:
    """Name of what computes.

    Args:
        device (str, optional): Device in use. Defaults to None, the GPU where
            there is one.
    """
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def write_evaluation_report(folder: Path, runner, evaluation,
                            energy: Estimate,
                            training_metrics: dict[str, float],
                            metrics: dict[str, float], samples) -> Path:
    """Write ``report.html``, its pictures, ``energy.json``, ``energy.csv``
    and ``trace.json``.

    Args:
        folder (Path): Where to.
        runner (Runner): mmengine's Runner.
        evaluation (SpikeEvaluation): What was measured.
        energy (Estimate): Its energy.
        training_metrics (dict[str, float]): Metrics in training form.
        metrics (dict[str, float]): Metrics in spike-train form.
        samples (SampleCollector): For the pictures.

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
    write_json(folder / 'energy.json', energy)
    write_csv(folder / 'energy.csv', energy)
    return write_report(
        folder / 'report.html',
        ReportData(
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
            provenance=provenance(runner)))[0]
