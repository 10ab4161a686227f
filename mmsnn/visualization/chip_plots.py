"""Plots of estimates on chips, of spike maps, and of energy over accuracy.

As in :mod:`.plots`, every function returns a figure of its own.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mmsnn.hardware import ChipEstimate
from mmsnn.hardware.on_chip.event_energy import ENERGY_CAUSES

from .plots import MOST_GROUPS, group_modules

_COLORS = ('#1b6d8f', '#d1782f', '#8c5a2b', '#6aa56a', '#b48ead', '#7a7a7a',
           '#c9b44c', '#b03a2e', '#5b8db8', '#3f3f3f')


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout='constrained')


#: Said of a chip some of whose figures are unknown.
PARTLY = 'not all causes known (hatched)'


def _heading(estimate: ChipEstimate, name: str) -> str:
    """What a plot is of; no two estimates of a report have the same."""
    text = f'{name}, {estimate.timing}'
    if estimate.mode != 'lossless':
        text += f', {estimate.mode}'
    return text


def _stack(axes, labels: Sequence[str], parts: Sequence[Mapping[str, float]],
           known: bool) -> None:
    """Bars from the left, one part on the other; hatched if there are causes
    without a figure."""
    # A cause has the same colour in every plot.
    causes = [(cause, colour) for cause, colour in zip(ENERGY_CAUSES, _COLORS)
              if any(cause in part for part in parts)]
    lefts = [0.0] * len(labels)
    for cause, colour in causes:
        widths = [part.get(cause, 0.0) for part in parts]
        axes.barh(range(len(labels)), widths, left=lefts, height=0.7,
                  color=colour, label=cause, hatch='' if known else '///',
                  edgecolor=colour if known else 'white', linewidth=0)
        lefts = [a + b for a, b in zip(lefts, widths)]
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, 1.05 * max(lefts, default=0.0) or 1.0)
    axes.set_xlabel('mJ per image')
    axes.spines[['top', 'right']].set_visible(False)
    if causes:
        axes.legend(frameon=False, fontsize=8, loc='upper left',
                    bbox_to_anchor=(1, 1), labelspacing=0.2)


def plot_chip_layers(estimate: ChipEstimate) -> Figure:
    """Energy of one image alone by layer and cause, upper end of ranges.

    Args:
        estimate (ChipEstimate): From
            :func:`mmsnn.hardware.estimate_on_chip`.
    """
    owners = [row.target or row.name for row in estimate.rows]
    groups = group_modules(owners)
    sums: dict[str, dict[str, float]] = {}
    for group, row in zip(groups, estimate.rows):
        total = sums.setdefault(group, {})
        for cause, energy in row.energy_mj.items():
            total[cause] = total.get(cause, 0.0) + energy.high
    labels = list(sums)
    if len(labels) > MOST_GROUPS:
        labels = sorted(labels, key=lambda x: -sum(sums[x].values())
                        )[:MOST_GROUPS]
    figure = _figure(10, 1.4 + 0.3 * len(labels))
    axes = figure.subplots()
    known = estimate.total_mj is not None
    _stack(axes, labels, [sums[x] for x in labels], known)
    axes.set_title(_heading(estimate, estimate.title) +
                   ('' if known else f': {PARTLY}'), fontsize=10)
    return figure


def plot_chip_causes(estimates: Sequence[ChipEstimate]) -> Figure:
    """Energy of one image alone by chip and cause, upper end of ranges.

    Args:
        estimates (Sequence[ChipEstimate]): One per chip and timing; an axis
            each, since figures of chips are not of the same scope.
    """
    figure = _figure(10, 0.6 + 1.9 * len(estimates))
    panels = figure.subplots(len(estimates), 1, squeeze=False)[:, 0]
    for axes, estimate in zip(panels, estimates):
        known = estimate.total_mj is not None
        _stack(axes, [''],
               [{k: v.high for k, v in estimate.energy_mj.items()}], known)
        total = f'{estimate.total_mj} mJ' if known else PARTLY
        axes.set_title(f'{_heading(estimate, estimate.chip)}: {total}',
                       fontsize=10, loc='left')
    return figure


def plot_utilisation(estimate: ChipEstimate) -> Figure:
    """Busy time of each core over the interval between images.

    Args:
        estimate (ChipEstimate): With ``utilisation``.

    Raises:
        ValueError: If a fixed time step hides the utilisation.
    """
    if not estimate.utilisation.size:
        raise ValueError(f'{estimate.chip} hides the utilisation of its cores')
    figure = _figure(8, 3)
    axes = figure.subplots()
    axes.fill_between(
        np.arange(estimate.utilisation.size), estimate.utilisation,
        step='mid', color='#1b6d8f', alpha=0.8, lw=0)
    axes.set_xlabel('core, in the order of layers')
    axes.set_ylabel('busy share')
    axes.set_ylim(0, 1.05)
    axes.set_title(_heading(estimate, estimate.title), fontsize=10)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def plot_spike_maps(maps: Mapping[str, np.ndarray]) -> Figure:
    """Where neurons fire in each sub-step (paper, figure 8).

    Args:
        maps (Mapping[str, ndarray]): By layer, (sub-steps, H, W): share of
            the channels that fire at a position.

    Raises:
        ValueError: If there is no map.

    Example:
        >>> figure = plot_spike_maps({'stem': np.zeros((4, 8, 8))})
        >>> len(figure.axes)  # and a colour bar
        5
    """
    if not maps:
        raise ValueError('no spike maps to plot: no layer has positions')
    most = max(len(m) for m in maps.values())
    figure = _figure(1.2 + 1.7 * most, 0.4 + 1.95 * len(maps))
    rows = figure.subplots(len(maps), most, squeeze=False)
    top = max(float(m.max()) for m in maps.values()) or 1.0
    for row, (name, layer) in zip(rows, maps.items()):
        for d, axes in enumerate(row):
            axes.set_axis_off()
            if d < len(layer):
                shown = axes.imshow(layer[d], vmin=0, vmax=top, cmap='jet')
                # The first line has room for the layer's name.
                axes.set_title(f'\nsub-step {d + 1}: {layer[d].mean():.3f}',
                               fontsize=7)
        label = row[0].annotate(
            name, (0, 1), (0, 14), xycoords='axes fraction',
            textcoords='offset points', fontsize=7)
        label.set_in_layout(False)  # else its length widens the column
    figure.colorbar(shown, ax=rows, shrink=0.7).ax.tick_params(labelsize=7)
    return figure


def plot_energy_accuracy(points: Sequence[Mapping]) -> Figure:
    """Energy over a metric, one point per run, e.g. over D.

    Args:
        points (Sequence[Mapping]): Each with ``label``, ``chip`` (spec),
            ``energy_mj``, ``metric`` (name) and ``value``.

    Raises:
        ValueError: If there is no point, or they have several metrics or
            chips.

    Example:
        >>> figure = plot_energy_accuracy([dict(
        ...     label='D=4', chip='cmos45', energy_mj=3., metric='top1',
        ...     value=78.5)])
        >>> figure.axes[0].get_ylabel()
        'top1'
    """
    for name in ('metric', 'chip'):
        found = {p[name] for p in points}
        if len(found) != 1:
            raise ValueError(f'points of energy and accuracy need one {name} '
                             f'in common, got {sorted(found) or "no point"}')
    figure = _figure(5.5, 3.4)
    axes = figure.subplots()
    points = sorted(points, key=lambda p: p['energy_mj'])
    axes.plot([p['energy_mj'] for p in points], [p['value'] for p in points],
              marker='o', color='#1b6d8f')
    for p in points:
        axes.annotate(p['label'], (p['energy_mj'], p['value']), (5, 5),
                      textcoords='offset points', fontsize=9)
    axes.set_xlabel(f'mJ per image ({points[0]["chip"]})')
    axes.set_ylabel(points[0]['metric'])
    axes.margins(0.15)
    axes.spines[['top', 'right']].set_visible(False)
    return figure
