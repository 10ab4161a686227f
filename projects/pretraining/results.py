"""What the runs of the study left behind, as a table and a plot."""

from pathlib import Path

from matplotlib.figure import Figure

from mmsnn.engine.study import mean_and_std, scalars
from mmsnn.files import dump_json, whole_file, write_whole

#: Variant: name, the neuron (of its classifiers' configs), and what the paper
#: found (sections 3.4 and 5.4, Fig. 10).
VARIANTS = {
    'ssc': ('SSC, SFA (D = 4)', 'sfa4',
            'effective rank rises and becomes stable; pre-training lets '
            'larger models gain'),
    'no-ssc': ('ordinary convolutions, SFA (D = 4)', 'sfa4',
               'information leaks: neurons of deep layers hardly fire any '
               'more, and performance degrades'),
    'lif-t1': ('SSC, LIF (T = 1)', 'lif-t1',
               'effective rank falls while pre-training; larger models '
               'degrade in spite of it'),
}


def read_looks(folder: Path) -> list[dict]:
    """What ``EffectiveRankHook`` logged while pre-training.

    Args:
        folder (Path): Work folder of a run, interrupted or not.

    Returns:
        list[dict]: ``iter``, effective ``rank``, and firing ``rate`` of the
        last stage, of the last attempt at each.
    """
    looks = {
        line['step']: dict(
            iter=line['step'],
            rank=line['train/effective_rank'],
            rate=line['train/firing_rate_stage4'])
        for line in scalars(folder) if 'train/effective_rank' in line
    }
    return [look for _, look in sorted(looks.items())]


def summarise(trials: list[dict], scratch: list[dict]) -> list[dict]:
    """One entry per variant, in the order of :data:`VARIANTS`.

    Args:
        trials (list[dict]): ``variant``, ``seed``, ``looks``, ``accuracy``
            (%).
        scratch (list[dict]): ``neuron``, ``seed``, ``accuracy`` (%).

    Returns:
        list[dict]: ``gain`` is that of each seed over training from scratch
        with the same seed.
    """
    found = []
    for variant, (_, neuron, _) in VARIANTS.items():
        own = [trial for trial in trials if trial['variant'] == variant]
        if not own:
            continue
        plain = {run['seed']: run['accuracy'] for run in scratch
                 if run['neuron'] == neuron}
        found.append(dict(
            variant=variant,
            seeds=len(own),
            first_rank=mean_and_std(
                [trial['looks'][0]['rank'] for trial in own]),
            last_rank=mean_and_std(
                [trial['looks'][-1]['rank'] for trial in own]),
            rate=mean_and_std([trial['looks'][-1]['rate'] for trial in own]),
            finetuned=mean_and_std([trial['accuracy'] for trial in own]),
            scratch=mean_and_std(list(plain.values())),
            gain=mean_and_std([trial['accuracy'] - plain[trial['seed']]
                         for trial in own])))
    return found


def markdown(summary: list[dict]) -> str:
    """The table of the README."""
    def number(value, sign='', digits=2):
        return f'{value["mean"]:{sign}.{digits}f} ± {value["std"]:.{digits}f}'

    lines = [
        '| encoder | effective rank, first | at the end | firing rate '
        '| fine-tuned (%) | from scratch (%) | gain | what the paper found |',
        '|' + '---|' * 8
    ]
    for entry in summary:
        name, _, words = VARIANTS[entry['variant']]
        lines.append('| ' + ' | '.join([
            name, number(entry['first_rank']), number(entry['last_rank']),
            number(entry['rate'], digits=3), number(entry['finetuned']),
            number(entry['scratch']), number(entry['gain'], '+'), words
        ]) + ' |')
    seeds = max(entry['seeds'] for entry in summary)
    lines.append(f'\nMean ± standard deviation over {seeds} seeds.')
    return '\n'.join(lines)


def plot(trials: list[dict]) -> Figure:
    """Effective rank while pre-training: a line per run, a colour per
    variant."""
    figure = Figure(figsize=(6, 3.4), layout='constrained')
    axes = figure.add_subplot()
    for (variant, (name, _, _)), color, marker in zip(
            VARIANTS.items(), ('#1b6d8f', '#d1782f', '#8a8680'), 'os^'):
        own = [trial for trial in trials if trial['variant'] == variant]
        for i, trial in enumerate(own):
            axes.plot(
                [look['iter'] for look in trial['looks']],
                [look['rank'] for look in trial['looks']],
                color=color, marker=marker, markersize=3, linewidth=1,
                label=None if i else name)
    axes.set(xlabel='iteration of pre-training',
             ylabel="effective rank of the encoder's output")
    axes.legend(fontsize=8, frameon=False)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='#dddddd', linewidth=0.6)
    return figure


def write_results(folder: Path, trials: list[dict],
                  scratch: list[dict]) -> str:
    """Write ``table.md``, ``results.json`` and ``effective_rank.png``.

    Args:
        folder (Path): Where to.
        trials (list[dict]): As in :func:`summarise`.
        scratch (list[dict]): As in :func:`summarise`.

    Returns:
        str: The table in Markdown.
    """
    summary = summarise(trials, scratch)
    table = markdown(summary)
    write_whole(folder / 'table.md', table + '\n')
    dump_json(folder / 'results.json',
              dict(summary=summary, pretrained=trials, scratch=scratch))
    with whole_file(folder / 'effective_rank.png') as part:
        plot(trials).savefig(part, dpi=150)
    return table
