"""What the runs of the twins left behind, as tables and pictures."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from mmsnn.engine.study import (
    Run,
    mean_and_std,
    read_json,
    scalars,
    training_seconds,
)
from mmsnn.files import dump_json, write_whole


@dataclass
class Task:
    """A data set with the config that is trained on it.

    Attributes:
        title (str): What stands in the table.
        config (str): Path of the config in ``configs``.
        metric (str): The metric that counts.
        label (str): What it is called in the table.
        seeds (int): With how many seeds each model is trained.
        unit (float): What the metric is at its best.
        max_spikes (int): D of the spiking model.
    """

    title: str
    config: str
    metric: str
    label: str
    seeds: int
    unit: float = 1.
    max_spikes: int = 4

    def label_of(self, model: str) -> str:
        """What a model is called in the table."""
        return MODELS[model].format(D=self.max_spikes)


TASKS = {
    'digits': Task(
        'FCOS on digit scenes',
        'fcos/fcos_espikeformer-tiny_fpn_gn-head_sfa4_1xb16-4000i_'
        'digits-64x64.py', 'coco/bbox_mAP', 'box mAP', seeds=1),
    'camvid': Task(
        'Semantic FPN on CamVid',
        'semantic_fpn/espikeformer-tiny_semantic-fpn_sfa8_1xb4-2400i_'
        'camvid-256x256.py', 'mIoU', 'mIoU', seeds=2, unit=100.,
        max_spikes=8),
    'coco_200': Task(
        'Mask R-CNN on its 100 training images of COCO',
        'mask_rcnn/mask-rcnn_espikeformer-tiny_fpn_gn_sfa8_1xb2-7500i_'
        'coco-200-overfit.py', 'coco/bbox_mAP_50', 'box AP50', seeds=1,
        max_spikes=8),
}
MODELS = {'sfa': 'SFA, D = {D}', 'relu': 'ReLU twin'}


def read_run(run: Run) -> dict:
    """Collect what was measured in a run.

    Args:
        run (Run): The run, trained and tested.

    Returns:
        dict: ``parameters``, ``minutes`` of training, ``peak_mb`` (null if
        the process that trained it did not end) and ``metrics``; of spiking
        models these are those of the spike-train form, and there are
        ``training_form`` metrics, ``differences`` and ``compared`` spike
        counts in float64, ``energy_mj`` and ``twin_mj``, per image.

    Raises:
        ValueError: There are no metrics.
    """
    metrics = read_json(run.folder / 'metrics.json')
    if not metrics:  # mmdet's way to say so
        raise ValueError(f'{run.folder}: the model detects nothing at all; '
                         'train it longer')
    found = dict(
        parameters=run.parameters,
        minutes=sum(training_seconds(run.folder)) / 60,
        peak_mb=run.peak_mb,
        metrics=metrics)
    tested = [line for line in scalars(run.folder)
              if 'test/spike_energy_mj' in line]
    if tested:
        last, start = tested[-1], 'test/training_form_'
        found.update(
            training_form={key[len(start):]: value
                           for key, value in last.items()
                           if key.startswith(start)},
            differences=last['test/spike_differences_float64'],
            compared=last['test/spike_compared_float64'],
            energy_mj=last['test/spike_energy_mj'],
            twin_mj=last['test/spike_float_twin_mj'])
    return found


def summarise(runs: list[dict]) -> list[dict]:
    """One entry per task and model, in the order of :data:`TASKS`.

    Args:
        runs (list[dict]): From :func:`read_run`, with ``task``, ``model``
            and ``seed``.

    Returns:
        list[dict]: ``ratio`` is the mean metric over that of the ReLU twin;
        the energy of the twin is that of the spiking model with every
        operation a MAC.
    """
    found = []
    for task, facts in TASKS.items():
        own = {model: [run for run in runs
                       if (run['task'], run['model']) == (task, model)]
               for model in MODELS}
        means = {}
        for model, group in own.items():
            if not group:
                continue
            metric = _metric(group, 'metrics', facts)
            means[model] = metric['mean']
            spiking = own['sfa'] if model == 'relu' else group
            energy = 'twin_mj' if model == 'relu' else 'energy_mj'
            found.append(dict(
                task=task,
                model=model,
                seeds=[run['seed'] for run in group],
                parameters=group[0]['parameters'],
                minutes=mean_and_std([run['minutes'] for run in group]),
                peak_mb=mean_and_std([run['peak_mb'] for run in group]),
                metric=metric,
                training_form=_metric(group, 'training_form', facts),
                differences=_total(group, 'differences'),
                compared=_total(group, 'compared'),
                energy_mj=mean_and_std([run.get(energy) for run in spiking])))
        if len(means) == len(MODELS):
            for entry in found[-len(MODELS):]:
                entry['ratio'] = means[entry['model']] / means['relu']
    return found


def _metric(runs: list[dict], form: str, task: Task) -> dict | None:
    return mean_and_std([
        run[form][task.metric] / task.unit if form in run else None
        for run in runs])


def _total(runs: list[dict], key: str) -> int | None:
    values = [run[key] for run in runs if key in run]
    return int(sum(values)) if values else None


def markdown(summary: list[dict]) -> str:
    """The table of all tasks and models."""
    lines = [
        '| task | model | parameters | seeds | training (min) | metric '
        '| training form | spike-train form | of the twin '
        '| differing spike counts, float64 | energy (mJ / image) |',
        '|' + '---|' * 11
    ]
    for entry in summary:
        task = TASKS[entry['task']]
        spiking = entry['training_form'] is not None
        in_training, in_trains = (
            (entry['training_form'], entry['metric']) if spiking else
            (entry['metric'], None))
        lines.append('| ' + ' | '.join([
            task.title, task.label_of(entry['model']),
            f'{entry["parameters"]:,}', f'{len(entry["seeds"])}',
            _number(entry['minutes'], 1),
            task.label, _number(in_training, 3), _number(in_trains, 3),
            f'{entry["ratio"]:.3f}' if 'ratio' in entry else '-',
            f'{entry["differences"]:,} of {entry["compared"]:,}'
            if spiking else '-', _number(entry['energy_mj'], 4)]) + ' |')
    return '\n'.join(lines)


def _number(value: dict | None, digits: int) -> str:
    if value is None:
        return '-'
    text = f'{value["mean"]:.{digits}f}'
    return text + f' ± {value["std"]:.{digits}f}' * (value['std'] > 0)


def both_forms(runs: list[dict]) -> str:
    """Table of every metric of the spiking models, in both forms."""
    lines = ['| task | seed | metric | training form | spike-train form |',
             '|' + '---|' * 5]
    for run in runs:
        if 'training_form' not in run:
            continue
        for name, value in run['metrics'].items():
            lines.append(
                f'| {TASKS[run["task"]].title} | {run["seed"]} | {name} '
                f'| {run["training_form"][name]:.3f} | {value:.3f} |')
    return '\n'.join(lines)


def collect_pictures(folder: Path, runs: dict[str, Path]) -> None:
    """Copy the predictions of spiking models into ``pictures``.

    Args:
        folder (Path): The folder of the study.
        runs (dict[str, Path]): Work folder of a run of each task.
    """
    (folder / 'pictures').mkdir(exist_ok=True)
    for task, run in runs.items():
        shutil.copy(run / 'spike_inference' / 'test' / 'predictions.png',
                    folder / 'pictures' / f'{task}.png')


def write_results(folder: Path, runs: list[dict]) -> str:
    """Write ``table.md`` and ``results.json``.

    Args:
        folder (Path): Where to.
        runs (list[dict]): See :func:`summarise`.

    Returns:
        str: The tables in Markdown.
    """
    summary = summarise(runs)
    tables = f'{markdown(summary)}\n\n{both_forms(runs)}'
    write_whole(folder / 'table.md', tables + '\n')
    dump_json(folder / 'results.json', dict(summary=summary, runs=runs))
    return tables
