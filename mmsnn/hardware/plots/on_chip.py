"""Plots of energy and time on chips with cores."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mmsnn.hardware.on_chip.event_energy import ENERGY_CAUSES
from mmsnn.hardware.on_chip.results import ChipEstimate

from .style import MOST_GROUPS, Picture, group_modules, new_figure

_COLORS = ('#1b6d8f', '#d1782f', '#8c5a2b', '#6aa56a', '#b48ead', '#7a7a7a',
           '#c9b44c', '#b03a2e', '#5b8db8', '#3f3f3f')

#: What a plot says of a chip that lacks a figure for some cause.
PARTLY = 'not all causes known (hatched)'


def _heading(estimate: ChipEstimate, name: str) -> str:
    """Heading of a plot; no two estimates of a report have the same."""
    text = f'{name}, {estimate.timing}'
    if estimate.mode != 'lossless':
        text += f', {estimate.mode}'
    return text


def _stack(axes, labels: Sequence[str], parts: Sequence[Mapping[str, float]],
           known: bool) -> None:
    """Draw a horizontal bar for each label, stacked from its parts by cause;
    hatched if the figure of some cause is not known."""
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
    """Energy of a single image by layer and cause.

    A bar of a range ends at its upper end.

    Args:
        estimate (ChipEstimate): What to show.

    Returns:
        Figure: A bar for each layer, or group of layers, in mJ.
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
    figure = new_figure(10, 1.4 + 0.3 * len(labels))
    axes = figure.subplots()
    known = estimate.total_mj is not None
    _stack(axes, labels, [sums[x] for x in labels], known)
    axes.set_title(_heading(estimate, estimate.title) +
                   ('' if known else f': {PARTLY}'), fontsize=10)
    return figure


def plot_chip_causes(estimates: Sequence[ChipEstimate]) -> Figure:
    """Energy of a single image by chip and cause.

    A bar of a range ends at its upper end. Each estimate has an axis of its
    own, since figures of two chips do not include the same things.

    Args:
        estimates (Sequence[ChipEstimate]): What to show, one per chip and
            timing.

    Returns:
        Figure: A panel for each estimate, in mJ.
    """
    figure = new_figure(10, 0.6 + 1.9 * len(estimates))
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
    """How busy each core is while images follow each other.

    Args:
        estimate (ChipEstimate): What to show.

    Returns:
        Figure: For each core, the time that it works for an image, over the
        time between images.

    Raises:
        ValueError: If a fixed time step hides the utilisation.
    """
    if not estimate.utilisation.size:
        raise ValueError(f'{estimate.chip} hides the utilisation of its cores')
    figure = new_figure(8, 3)
    axes = figure.subplots()
    axes.fill_between(
        np.arange(estimate.utilisation.size), estimate.utilisation,
        step='mid', color='#1b6d8f', alpha=0.8, lw=0)
    axes.set_xlabel('core, in the order of layers')
    axes.set_ylabel('share of the time that it is busy')
    axes.set_ylim(0, 1.05)
    axes.set_title(_heading(estimate, estimate.title), fontsize=10)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def chip_pictures(estimates: Sequence[ChipEstimate]) -> list[Picture]:
    """The plots of estimates on chips, with file names and captions.

    Args:
        estimates (Sequence[ChipEstimate]): What to show, one per chip and
            timing.

    Returns:
        list[tuple[str, Figure, str]]: File name, figure and caption.
    """
    found: list[Picture] = []
    priced = [e for e in estimates if e.energy_mj]
    if priced:
        found.append(
            ('chips_energy.png', plot_chip_causes(priced),
             'Energy of one image by cause; upper end of ranges. Each chip '
             'has an axis of its own. Hatched: some causes have no known '
             'figure and are not in the bar.'))
    for name, e in zip(chip_names(estimates), estimates):
        if any(row.energy_mj for row in e.rows):
            found.append((f'{name}_layers.png', plot_chip_layers(e),
                          'Energy by layer (what ends in it included) and '
                          'cause.'))
        if e.utilisation.size:
            found.append((f'{name}_utilisation.png', plot_utilisation(e),
                          'Busy share of each core while images follow each '
                          'other.'))
    return found


def chip_names(estimates: Sequence[ChipEstimate]) -> list[str]:
    """Names for the files of estimates, no two the same.

    Args:
        estimates (Sequence[ChipEstimate]): One per chip and timing.

    Returns:
        list[str]: For each, the name of its chip; with the timing where
        several are of one chip, and a number where that is not enough.
    """
    names: list[str] = []
    chips = [e.chip for e in estimates]
    for e in estimates:
        name = e.chip if chips.count(e.chip) == 1 else f'{e.chip}_{e.timing}'
        same = sum(n == name or n.startswith(f'{name}_no') for n in names)
        names.append(f'{name}_no{same + 1}' if same else name)
    return names
