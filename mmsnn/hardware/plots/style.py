"""What all plots of this package look like.

Every plot is a :class:`matplotlib.figure.Figure` of its own; pyplot and its
global state are not used.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Most bars of a plot over layers; more layers are shown in groups.
MOST_GROUPS = 24

#: A picture of a report: file name, figure, caption.
Picture = tuple[str, Figure, str]


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


def new_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches, in constrained layout."""
    return Figure(figsize=(width, height), layout='constrained')


def tidy(axes: Axes, grid: str) -> None:
    """Leave out the frame's upper and right side; a grid along an axis."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color='#dddddd', linewidth=0.6)
