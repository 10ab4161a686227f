"""Plots of energy by operation."""

from collections.abc import Sequence

from matplotlib.figure import Figure, SubFigure

from mmsnn.hardware.amounts import as_range
from mmsnn.hardware.operations.counts import CAUSES
from mmsnn.hardware.operations.estimate import COUNTINGS
from mmsnn.hardware.operations.results import OperationsEstimate

from .style import MOST_GROUPS, Picture, group_modules, new_figure, tidy

#: Colours that stay apart for colour-blind readers and in grey print.
FORM_COLORS = dict(
    zip(COUNTINGS, ('#1b6d8f', '#8fc1d4', '#b9b4ab', '#1b6d8f', '#e3a857')))
CAUSE_COLORS = dict(
    zip(CAUSES, ('#1b6d8f', '#d1782f', '#8c5a2b', '#6aa56a', '#b48ead',
                 '#7a7a7a', '#c9b44c', '#b03a2e', '#5b8db8', '#2f4b6e',
                 '#e3a9a0', '#3f3f3f')))

#: Largest over smallest value from which an axis is logarithmic.
LOG_FROM = 100.0


def _panels(estimate: OperationsEstimate,
            formula: bool = True) -> list[tuple[str, list[str]]]:
    """Precisions and the keys of their results; each pair is a panel, so that
    no panel compares two precisions."""
    panels: dict[str, list[str]] = {}
    for result in estimate.results:
        if formula or not result.key.startswith('formula'):
            panels.setdefault(result.precision, []).append(result.key)
    return list(panels.items())


def _needs_log(values: Sequence[float]) -> bool:
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) > LOG_FROM * min(positive)


def plot_energy_by_layer(estimate: OperationsEstimate) -> Figure:
    """Energy of the spiking form and its twins by layer, or group of layers.

    A bar of a range ends at its upper end. An axis is logarithmic if values
    are far apart.

    Args:
        estimate (OperationsEstimate): What to show.

    Returns:
        Figure: One panel per precision of the weights, in mJ per image.
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
    figure = new_figure(11, 1.6 + 0.34 * len(labels))
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
        tidy(axes, 'x')
    rows[0].set_yticks(range(len(labels)), labels, fontsize=9)
    rows[0].set_ylim(len(labels) - 0.4, -0.6)
    if len(labels) < len(sums):
        figure.supxlabel(
            f'the {len(labels)} costliest of {len(sums)} layers', fontsize=9)
    return figure


def plot_energy_totals(estimate: OperationsEstimate) -> Figure:
    """Energy of every form, split by cause.

    A bar of a range ends at its upper end.

    Args:
        estimate (OperationsEstimate): What to show.

    Returns:
        Figure: One panel per precision of the weights, in mJ per image.
    """
    most = max(len(keys) for _, keys in _panels(estimate))
    figure = new_figure(10, 1.5 + 0.45 * most)
    draw_energy_totals(figure, estimate)
    return figure


def draw_energy_totals(figure: Figure | SubFigure,
                       estimate: OperationsEstimate,
                       formula: bool = True) -> None:
    """Draw :func:`plot_energy_totals` on a figure, or a part of one.

    Args:
        figure (Figure | SubFigure): Where to draw, in constrained layout.
        estimate (OperationsEstimate): What to show.
        formula (bool): Whether the paper's formula has a bar. Defaults to
            True.
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
                gap, spec = (' ', '.2g') if estimate.exact else ('\n ', '.3g')
                text += f'{gap}({ratios[key]:{spec}} x twin)'
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
        tidy(axes, 'x')
    handles, labels = columns[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc='outside upper center', ncols=min(len(labels), 6),
        frameon=False, fontsize=9)


def operation_pictures(estimate: OperationsEstimate) -> list[Picture]:
    """The plots of an estimate by operation, with file names and captions.

    Args:
        estimate (OperationsEstimate): What to show.

    Returns:
        list[tuple[str, Figure, str]]: File name, figure and caption.
    """
    return [
        ('energy_totals.png', plot_energy_totals(estimate),
         'Energy per image by cause, upper end of ranges. Twins have weights '
         'of the same precision; compare within a panel only.'),
        ('energy_by_layer.png', plot_energy_by_layer(estimate),
         'Energy per image by layer or group of layers, in order of '
         'execution; upper end of ranges.')
    ]
