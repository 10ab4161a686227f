"""Plots of energy estimates and firing rates.

Every function returns a :class:`matplotlib.figure.Figure` of its own; pyplot
and its global state are not used.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from mmsnn.hardware.amounts import as_range
from mmsnn.hardware.operations.counts import CAUSES
from mmsnn.hardware.operations.estimate import COUNTINGS
from mmsnn.hardware.operations.results import OperationsEstimate
from mmsnn.trace import OpTrace, is_spiking_synapse

#: Colours that stay apart for colour-blind readers and in grey print.
FORM_COLORS = dict(
    zip(COUNTINGS, ('#1b6d8f', '#8fc1d4', '#b9b4ab', '#1b6d8f', '#e3a857')))
CAUSE_COLORS = dict(
    zip(CAUSES, ('#1b6d8f', '#d1782f', '#8c5a2b', '#6aa56a', '#b48ead',
                 '#7a7a7a', '#c9b44c', '#b03a2e', '#5b8db8', '#2f4b6e',
                 '#e3a9a0', '#3f3f3f')))
KIND_COLORS = {'conv': '#1b6d8f', 'linear': '#6aa56a', 'matmul': '#d1782f'}

#: Most bars of a plot over layers; more layers are shown in groups.
MOST_GROUPS = 24

#: Largest over smallest value from which an axis is logarithmic.
LOG_FROM = 100.0


def group_modules(modules: Sequence[str],
                  most: int = MOST_GROUPS) -> list[str]:
    """The group of each module: its path, cut to as many components as give
    at most ``most`` groups, and to at least one.

    Example:
        >>> group_modules(['neck.a', 'net.1.a', 'net.1.b', 'net.2.a'], 3)
        ['neck.a', 'net.1', 'net.1', 'net.2']
    """
    paths = [module.split('.') for module in modules]
    groups = [path[0] for path in paths]
    for depth in range(2, max(map(len, paths), default=0) + 1):
        deeper = ['.'.join(path[:depth]) for path in paths]
        if len(set(deeper)) > most:
            break
        groups = deeper
    return groups


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout='constrained')


def _tidy(axes: Axes, grid: str) -> None:
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color='#dddddd', linewidth=0.6)


def _panels(estimate: OperationsEstimate,
            formula: bool = True) -> list[tuple[str, list[str]]]:
    """Precisions and the keys of their results, never two in one panel."""
    panels: dict[str, list[str]] = {}
    for result in estimate.results:
        if formula or not result.key.startswith('formula'):
            panels.setdefault(result.precision, []).append(result.key)
    return list(panels.items())


def _needs_log(values: Sequence[float]) -> bool:
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) > LOG_FROM * min(positive)


def plot_energy_by_layer(estimate: OperationsEstimate) -> Figure:
    """Energy per layer, or per group of layers: spiking form and twins.

    One panel per precision of the weights; upper end of ranges. Logarithmic
    if values are far apart.

    Args:
        estimate (OperationsEstimate): From :func:`mmsnn.hardware.estimate`.
    """
    names = group_modules([layer.module for layer in estimate.layers])
    sums: dict[str, dict[str, float]] = {}
    for name, layer in zip(names, estimate.layers):
        group = sums.setdefault(name, dict.fromkeys(layer.energy_mj, 0.0))
        for key, energy in layer.energy_mj.items():
            group[key] += as_range(energy).high
    labels = list(sums)
    if len(labels) > MOST_GROUPS:  # a flat model: one group per layer
        first = estimate.keys[0]
        labels = sorted(
            labels, key=lambda x: -sums[x][first])[:MOST_GROUPS]
        labels.sort(key=list(sums).index)
    panels = _panels(estimate, formula=False)
    figure = _figure(11, 1.6 + 0.34 * len(labels))
    rows = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (precision, keys) in zip(rows, panels):
        height = 0.8 / len(keys)
        for i, key in enumerate(keys):
            axes.barh(
                [y + (i - (len(keys) - 1) / 2) * height
                 for y in range(len(labels))],
                [sums[label][key] for label in labels],
                height=height,
                color=FORM_COLORS[key],
                label=COUNTINGS[key].title.split(',')[0])
        if _needs_log([sums[x][key] for x in labels for key in keys]):
            axes.set_xscale('log')
        axes.set_title(f'{precision.upper()} weights', fontsize=10, pad=24)
        axes.set_xlabel(f'mJ per image ({axes.get_xscale()} scale)')
        axes.legend(
            frameon=False, fontsize=9, loc='lower center', ncols=2,
            bbox_to_anchor=(0.5, 0.995))
        _tidy(axes, 'x')
    rows[0].set_yticks(range(len(labels)), labels, fontsize=9)
    rows[0].set_ylim(len(labels) - 0.4, -0.6)
    if len(labels) < len(sums):
        figure.supxlabel(
            f'the {len(labels)} costliest of {len(sums)} layers', fontsize=9)
    return figure


def plot_energy_totals(estimate: OperationsEstimate) -> Figure:
    """Energy of every form, split by cause; one panel per precision; bars of
    the upper end of ranges.

    Args:
        estimate (OperationsEstimate): From :func:`mmsnn.hardware.estimate`.
    """
    most = max(len(keys) for _, keys in _panels(estimate))
    figure = _figure(10, 1.5 + 0.45 * most)
    draw_energy_totals(figure, estimate)
    return figure


def draw_energy_totals(figure: Figure | SubFigure,
                       estimate: OperationsEstimate,
                       formula: bool = True) -> None:
    """:func:`plot_energy_totals` on a figure, or a part of one.

    Args:
        figure (Figure | SubFigure): Where to draw, in constrained layout.
        estimate (OperationsEstimate): From :func:`mmsnn.hardware.estimate`.
        formula (bool): Whether the literature's formula has a bar. Defaults
            to True.
    """
    panels = _panels(estimate, formula)
    causes = [
        cause for cause in CAUSES
        if any(cause in estimate[key].causes
               for _, keys in panels for key in keys)
    ]
    most = max(len(keys) for _, keys in panels)
    columns = figure.subplots(1, len(panels), squeeze=False)[0]
    ratios = {c.spiking: c.ratio for c in estimate.comparisons}
    for axes, (precision, keys) in zip(columns, panels):
        lefts = [0.0] * len(keys)
        for cause in causes:
            widths = [as_range(estimate[key].causes.get(cause, 0.0)).high
                      for key in keys]
            axes.barh(
                range(len(keys)), widths, left=lefts, height=0.6,
                color=CAUSE_COLORS[cause], label=cause)
            lefts = [left + width for left, width in zip(lefts, widths)]
        for y, key in enumerate(keys):
            text = f' {estimate[key].energy_mj:.3g} mJ'
            if key in ratios:
                text += f'{" " if estimate.exact else chr(10) + " "}'
                text += (f'({ratios[key]:.2g} x twin)' if estimate.exact
                         else f'({ratios[key]:.3g} x twin)')
            axes.text(lefts[y], y, text, va='center', fontsize=9)
        axes.set_yticks(
            range(len(keys)),
            [COUNTINGS[key].title.split(',')[0] for key in keys],
            fontsize=9)
        axes.set_xlim(0, (max(lefts) or 1.0) * (
            1.35 if estimate.exact else 1.5))
        axes.locator_params(axis='x', nbins=5)
        axes.set_ylim(most - 0.5, -0.5)
        axes.set_title(f'{precision.upper()} weights', fontsize=10)
        axes.set_xlabel('mJ per image')
        _tidy(axes, 'x')
    handles, labels = columns[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc='outside upper center', ncols=min(len(labels), 6),
        frameon=False, fontsize=9)


def plot_firing_rate(
    rates_per_substep: Sequence[float] | Mapping[str, Sequence[float]]
) -> Figure:
    """Network spike firing rate per sub-step (paper, figure 9).

    Args:
        rates_per_substep (Sequence[float] | Mapping[str, Sequence[float]]):
            Spikes per neuron in sub-step 1..D of each time step, as from
            :meth:`OpTrace.firing_rate`; or several such lists by name.

    Raises:
        ValueError: If there is no rate.

    Example:
        >>> figure = plot_firing_rate([0.2, 0.1, 0.05, 0.02])
        >>> figure.axes[0].get_xlabel()
        'sub-step'
    """
    if not isinstance(rates_per_substep, Mapping):
        rates_per_substep = {'network': rates_per_substep}
    if not any(len(rates) for rates in rates_per_substep.values()):
        raise ValueError('no firing rates to plot: the op trace holds no '
                         'neuron')
    figure = _figure(5.5, 3.2)
    axes = figure.subplots()
    for name, rates in rates_per_substep.items():
        steps = range(1, len(rates) + 1)
        line, = axes.plot(steps, rates, marker='o', label=name)
        for step, rate in zip(steps, rates):
            axes.annotate(
                f'{rate:.3g}', (step, rate), (6, 5),
                textcoords='offset points', fontsize=9,
                color=line.get_color())
    top = max(max(rates, default=0) for rates in rates_per_substep.values())
    axes.set_ylim(0, (top or 1.0) * 1.2)
    axes.set_xticks(
        range(1, 1 + max(len(r) for r in rates_per_substep.values())))
    axes.set_xlabel('sub-step')
    axes.set_ylabel('spikes per neuron')
    axes.margins(x=0.15)
    if len(rates_per_substep) > 1:
        axes.legend(frameon=False)
    _tidy(axes, 'y')
    return figure


def plot_rate_by_layer(trace: OpTrace) -> Figure:
    """Spikes per input and image of every spiking synapse, in order of
    execution.

    Args:
        trace (OpTrace): Ops of the model.

    Raises:
        ValueError: If the trace holds no spiking synapse.
    """
    records = [r for r in trace if is_spiking_synapse(r)]
    if not records:
        raise ValueError('no rates to plot: the op trace holds no spiking '
                         'synapse')
    figure = _figure(11, 3.9)
    axes = figure.subplots()
    for kind, color in KIND_COLORS.items():
        where = [i for i, r in enumerate(records) if r.kind == kind]
        if where:
            axes.bar(
                where, [records[i].rate for i in where], color=color,
                width=0.8, label=kind)
    groups = group_modules([r.module for r in records], MOST_GROUPS // 2)
    starts = [
        i for i in range(len(groups)) if not i or groups[i] != groups[i - 1]
    ]
    ends = starts[1:] + [len(groups)]
    for n, (start, end) in enumerate(zip(starts, ends)):
        if n % 2:
            axes.axvspan(
                start - 0.5, end - 0.5, color='#f1f1f1', zorder=0, lw=0)
    axes.set_xticks([(start + end - 1) / 2
                     for start, end in zip(starts, ends)],
                    [groups[start] for start in starts],
                    rotation=25,
                    ha='right',
                    rotation_mode='anchor',
                    fontsize=8)
    axes.set_xlim(-0.6, len(records) - 0.4)
    axes.set_ylim(0, (max(r.rate for r in records) or 1.0) * 1.1)
    axes.set_ylabel('spikes per input and image')
    axes.legend(frameon=False, fontsize=9, ncols=3)
    _tidy(axes, 'y')
    return figure
