"""Plots of firing rates and of where neurons fire."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mmsnn.hardware.plots.style import (
    MOST_GROUPS,
    Picture,
    group_modules,
    new_figure,
    tidy,
)
from mmsnn.trace import OpTrace, is_spiking_synapse

#: Kind of a synapse -> colour of its bar.
KIND_COLORS = {'conv': '#1b6d8f', 'linear': '#6aa56a', 'matmul': '#d1782f'}


def plot_firing_rate(
    rates_per_substep: Sequence[float] | Mapping[str, Sequence[float]]
) -> Figure:
    """Network spike firing rate per sub-step (paper, figure 9).

    Args:
        rates_per_substep (Sequence[float] | Mapping[str, Sequence[float]]):
            Spikes per neuron in sub-step 1..D of each time step, as from
            :meth:`OpTrace.firing_rate`; or several such lists by name.

    Returns:
        Figure: A line for each list.

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
    figure = new_figure(5.5, 3.2)
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
    tidy(axes, 'y')
    return figure


def plot_rate_by_layer(trace: OpTrace) -> Figure:
    """Spikes per input and image of every spiking synapse, in order of
    execution.

    Args:
        trace (OpTrace): Ops of the model.

    Returns:
        Figure: A bar for each spiking synapse.

    Raises:
        ValueError: If the trace holds no spiking synapse.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> fc = OpRecord('fc', 'linear', 'mm', spiking=True, in_spikes=2,
        ...               in_elements=10, max_spikes=4)
        >>> figure = plot_rate_by_layer(OpTrace([fc], images=1))
        >>> figure.axes[0].get_ylabel()
        'spikes per input and image'
    """
    records = [r for r in trace if is_spiking_synapse(r)]
    if not records:
        raise ValueError('no rates to plot: the op trace holds no spiking '
                         'synapse')
    figure = new_figure(11, 3.9)
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
    tidy(axes, 'y')
    return figure


def plot_spike_maps(maps: Mapping[str, np.ndarray]) -> Figure:
    """Where neurons fire in each sub-step (paper, figure 8).

    Args:
        maps (Mapping[str, ndarray]): Name of a layer -> share of the channels
            that fire at each position, (sub-steps, H, W).

    Returns:
        Figure: A row for each layer, a column for each sub-step.

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
    figure = new_figure(1.2 + 1.7 * most, 0.4 + 1.95 * len(maps))
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


def rate_pictures(trace: OpTrace) -> list[Picture]:
    """The plots of firing rates, with file names and captions.

    Args:
        trace (OpTrace): Ops of the model.

    Returns:
        list[tuple[str, Figure, str]]: File name, figure and caption; no plot
        of what the trace does not hold (neurons, spiking synapses).
    """
    pictures: list[Picture] = []
    if trace.firing_rate():
        pictures.append(
            ('firing_rate.png', plot_firing_rate(trace.firing_rate()),
             'Network spike firing rate: 0/1 spikes of all neurons in a '
             'sub-step over the number of neurons.'))
    if any(map(is_spiking_synapse, trace)):
        pictures.append(
            ('rate_by_layer.png', plot_rate_by_layer(trace),
             'Rate of every spiking synapse: spikes that arrive per input '
             'element and image, summed over time steps and sub-steps.'))
    return pictures
