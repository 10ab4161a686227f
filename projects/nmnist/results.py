"""What the runs on N-MNIST left behind, as a table and a plot."""

from pathlib import Path

from matplotlib.figure import Figure

from mmsnn.engine.study import (
    Run,
    mean_and_std,
    read_json,
    scalars,
    training_seconds,
)
from mmsnn.files import dump_json, whole_file, write_whole
from mmsnn.trace import OpTrace

#: Time steps of the data, and most spikes in each: 8 sub-steps in all.
CHOICES = {'8x1': (8, 1), '4x2': (4, 2), '2x4': (2, 4), '1x8': (1, 8)}
#: What a mean of the seeds should reach, %.
TARGET = 90.
_MEASURES = ('accuracy', 'training_form', 'minutes', 'energy_uj', 'twin_uj',
             'spikes')


def read_run(run: Run) -> dict:
    """Collect what was measured in a run.

    Args:
        run (Run): The run, trained and tested.

    Returns:
        dict: ``parameters``; ``accuracy`` and ``training_form`` (%), of both
        forms; ``minutes`` of training; ``differences`` and ``compared`` spike
        counts in float64; ``energy_uj`` and ``twin_uj`` per recording;
        ``spikes``: of a neuron in all T x D sub-steps, mean over recordings
        and neurons.
    """
    tested = [line for line in scalars(run.folder)
              if 'test/spike_energy_mj' in line][-1]
    trace = OpTrace.load(run.folder / 'spike_inference/test/trace.json')
    return dict(
        parameters=run.parameters,
        accuracy=read_json(run.folder / 'metrics.json')['accuracy/top1'],
        training_form=tested['test/training_form_accuracy/top1'],
        minutes=sum(training_seconds(run.folder)) / 60,
        differences=tested['test/spike_differences_float64'],
        compared=tested['test/spike_compared_float64'],
        energy_uj=tested['test/spike_energy_mj'] * 1e3,
        twin_uj=tested['test/spike_float_twin_mj'] * 1e3,
        spikes=sum(trace.firing_rate()))


def summarise(runs: list[dict]) -> list[dict]:
    """One entry per choice, in the order of :data:`CHOICES`."""
    found = []
    for choice in CHOICES:
        own = [run for run in runs if run['choice'] == choice]
        if own:
            found.append(dict(
                choice=choice,
                seeds=len(own),
                parameters=own[0]['parameters'],
                differences=sum(run['differences'] for run in own),
                compared=sum(run['compared'] for run in own),
                **{key: mean_and_std([run[key] for run in own])
                   for key in _MEASURES}))
    return found


def markdown(summary: list[dict]) -> str:
    """The table of the README."""

    def number(value, digits):
        return f'{value["mean"]:.{digits}f} ± {value["std"]:.{digits}f}'

    lines = [
        '| T x D | accuracy, spike-train form (%) | training form (%) '
        '| training (min) | spikes a neuron | energy (µJ) | float twin (µJ) '
        '| differences in float64 |', '|' + '---|' * 8
    ]
    for entry in summary:
        lines.append('| ' + ' | '.join([
            entry['choice'].replace('x', ' x '),
            number(entry['accuracy'], 1),
            number(entry['training_form'], 1),
            number(entry['minutes'], 1),
            number(entry['spikes'], 2),
            number(entry['energy_uj'], 2),
            number(entry['twin_uj'], 1),
            f'{entry["differences"]:,.0f} of {entry["compared"]:,.0f}'
        ]) + ' |')
    seeds = max(entry['seeds'] for entry in summary)
    reached = [entry['choice'] for entry in summary
               if entry['accuracy']['mean'] >= TARGET]
    lines.append(
        f'\nMean ± standard deviation over {seeds} seeds, '
        f'{summary[0]["parameters"]:,} parameters. At least {TARGET:.0f} % on '
        f'average: {", ".join(reached) or "none"}. Spikes and energy are for '
        'one recording.')
    return '\n'.join(lines)


def plot(summary: list[dict]) -> Figure:
    """Accuracy against energy, one point per choice."""
    figure = Figure(figsize=(6, 3.6), layout='constrained')
    axes = figure.add_subplot()
    for entry, marker in zip(summary, 'os^D'):
        accuracy, energy = entry['accuracy'], entry['energy_uj']
        axes.errorbar(
            energy['mean'], accuracy['mean'], yerr=accuracy['std'],
            xerr=energy['std'], fmt=marker, capsize=3, color='#1b6d8f')
        axes.annotate(
            f'T x D = {entry["choice"].replace("x", " x ")}',
            (energy['mean'], accuracy['mean']), (7, 7),
            textcoords='offset points', fontsize=8)
    axes.axhline(TARGET, color='#8a8680', linewidth=0.8, linestyle='--')
    axes.set(xlabel='energy (µJ / recording, 45 nm arithmetic)',
             ylabel='test accuracy (%)')
    axes.margins(x=0.15, y=0.15)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='#dddddd', linewidth=0.6)
    return figure


def write_results(folder: Path, runs: list[dict]) -> str:
    """Write ``table.md``, ``results.json`` and ``accuracy_energy.png``.

    Args:
        folder (Path): Where to.
        runs (list[dict]): From :func:`read_run`, with ``choice`` and
            ``seed``.

    Returns:
        str: The table in Markdown.
    """
    summary = summarise(runs)
    table = markdown(summary)
    write_whole(folder / 'table.md', table + '\n')
    dump_json(folder / 'results.json', dict(summary=summary, runs=runs))
    with whole_file(folder / 'accuracy_energy.png') as part:
        plot(summary).savefig(part, dpi=150)
    return table
