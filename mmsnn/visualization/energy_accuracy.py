"""Plot of accuracy over energy."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from mmsnn.hardware.plots.style import new_figure


def plot_energy_accuracy(points: Sequence[Mapping]) -> Figure:
    """Plot a metric over energy, one point per run, e.g. of each D.

    Args:
        points (Sequence[Mapping]): Runs, each with the keys ``label``,
            ``chip`` (name of the chip spec), ``energy_mj`` (per image),
            ``metric`` (its name) and ``value`` (of the metric).

    Returns:
        Figure: The points, in order of energy.

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
    figure = new_figure(5.5, 3.4)
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
