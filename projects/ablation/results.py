"""What the runs of the ablation left behind, as a table and a plot."""

from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mmsnn.engine.study import Run, mean_and_std, read_json, training_seconds
from mmsnn.files import dump_json, whole_file, write_whole

#: Config: name, time steps x spikes, and what the paper reports for the
#: model of 10 M parameters on ImageNet: top-1 accuracy (%), energy (mJ).
MODELS = {
    'metaspikeformer_lif-t1': ('Meta-SpikeFormer, LIF', '1 x 1', 68.5, 3.3),
    'metaspikeformer_lif-t4': ('Meta-SpikeFormer, LIF', '4 x 1', 71.3, 11.9),
    'metaspikeformer_sfa4': ('Meta-SpikeFormer + SFA', '1 x 4', 77.8, 7.3),
    'espikeformer_sfa4': ('E-SpikeFormer + SFA', '1 x 4', 78.5, 3.0),
    'espikeformer_relu': ('E-SpikeFormer, ReLU twin', '-', None, None),
}
#: The twin's energy is that of this model with every operation a MAC.
TWIN, TWIN_OF = 'espikeformer_relu', 'espikeformer_sfa4'


def read_run(run: Run) -> dict:
    """Collect what was measured in a run.

    Args:
        run (Run): The run, trained and tested.

    Returns:
        dict: ``accuracy`` (%), ``epoch_seconds`` (median), ``peak_mb`` (null
        if the process that trained it did not end), ``parameters``, and of
        spiking models ``energy_uj`` and ``twin_uj``, per image.
    """
    found = dict(
        accuracy=read_json(run.folder / 'metrics.json')['accuracy/top1'],
        epoch_seconds=median(training_seconds(run.folder)),
        peak_mb=run.peak_mb,
        parameters=run.parameters)
    energy = run.folder / 'spike_inference' / 'test' / 'energy.json'
    if energy.exists():
        results = {r['key']: r['energy_mj']
                   for r in read_json(energy)['results']}
        found.update(
            energy_uj=results['spiking_fp32'] * 1e3,
            twin_uj=results['float_twin_fp32'] * 1e3)
    return found


def summarise(runs: list[dict]) -> list[dict]:
    """One entry per model, in the order of :data:`MODELS`."""
    found = []
    for model in MODELS:
        own = [run for run in runs if run['model'] == model]
        if own:
            energy = [run.get('energy_uj') for run in own]
            if model == TWIN:
                energy = [run.get('twin_uj') for run in runs
                          if run['model'] == TWIN_OF]
            found.append(dict(
                model=model,
                seeds=len(own),
                parameters=own[0]['parameters'],
                accuracy=mean_and_std([run['accuracy'] for run in own]),
                epoch_seconds=mean_and_std(
                    [run['epoch_seconds'] for run in own]),
                peak_mb=mean_and_std([run['peak_mb'] for run in own]),
                energy_uj=mean_and_std(energy)))
    return found


def markdown(summary: list[dict], idle_mb: float) -> str:
    """The table of the README. Memory is without that of idle Python."""
    def number(value, digits, with_std=False, less=0.):
        if value is None:
            return '-'
        text = f'{value["mean"] - less:.{digits}f}'
        return text + f' ± {value["std"]:.{digits}f}' * with_std

    lines = [
        '| model | T x D | parameters | accuracy (%) | training (s / epoch) '
        '| peak memory (MB) | energy (µJ / image) | reported top-1 (%) '
        '| reported energy (mJ) |', '|' + '---|' * 9
    ]
    for entry in summary:
        name, steps, top1, energy = MODELS[entry['model']]
        lines.append('| ' + ' | '.join([
            name, steps, f'{entry["parameters"]:,}',
            number(entry['accuracy'], 2, with_std=True),
            number(entry['epoch_seconds'], 1),
            number(entry['peak_mb'], 0, less=idle_mb),
            number(entry['energy_uj'], 2, with_std=True),
            f'{top1 or "-"}', f'{energy or "-"}']) + ' |')
    seeds = max(entry['seeds'] for entry in summary)
    lines.append(
        f'\nMean ± standard deviation over {seeds} seeds. Memory is what the '
        f'training process takes at its peak, less the {idle_mb:.0f} MB that '
        'Python and its libraries take alone.')
    return '\n'.join(lines)


def plot(summary: list[dict]) -> Figure:
    """Accuracy against energy, one point per model."""
    figure = Figure(figsize=(7.2, 4), layout='constrained')
    axes = figure.add_subplot()
    for entry, marker in zip(summary, 'os^Dv'):
        name, steps, _, _ = MODELS[entry['model']]
        accuracy, energy = entry['accuracy'], entry['energy_uj']
        if energy is None:
            continue
        twin = entry['model'] == TWIN
        axes.errorbar(
            energy['mean'], accuracy['mean'], yerr=accuracy['std'],
            xerr=energy['std'], fmt=marker, capsize=3,
            color='#8a8680' if twin else '#1b6d8f',
            label=name if twin else f'{name}, {steps}')
    axes.set(xlabel='energy (µJ / image, 45 nm arithmetic)', xscale='log',
             ylabel='test accuracy (%)')
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc='lower right', fontsize=8, frameon=False)
    axes.margins(x=0.1, y=0.1)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='#dddddd', linewidth=0.6)
    return figure


def write_results(folder: Path, runs: list[dict], idle_mb: float) -> str:
    """Write ``table.md``, ``results.json`` and ``accuracy_energy.png``.

    Args:
        folder (Path): Where to.
        runs (list[dict]): From :func:`read_run`, with ``model`` and ``seed``.
        idle_mb (float): Memory of a process with all libraries, in MB.

    Returns:
        str: The table in Markdown.
    """
    summary = summarise(runs)
    table = markdown(summary, idle_mb)
    write_whole(folder / 'table.md', table + '\n')
    dump_json(folder / 'results.json',
              dict(idle_mb=idle_mb, summary=summary, runs=runs))
    with whole_file(folder / 'accuracy_energy.png') as part:
        plot(summary).savefig(part, dpi=150)
    return table
