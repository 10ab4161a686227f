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
    """Group modules by the start of their paths, so that a plot has room.

    Args:
        modules (Sequence[str]): Module paths.
        most (int): Most groups that a plot has room for. Defaults to
            :data:`MOST_GROUPS`.

    Returns:
        list[str]: The group of each module: its path, cut to the largest
        number of components that gives at most ``most`` groups. One component
        stays, even if that gives more.

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
    """Make an empty figure in constrained layout.

    Args:
        width (float): In inches.
        height (float): In inches.

    Returns:
        Figure: To draw on.
    """
    return Figure(figsize=(width, height), layout='constrained')


def tidy(axes: Axes, grid: str) -> None:
    """Remove the upper and right side of a frame, and add a grid.

    Args:
        axes (Axes): Where a plot is drawn.
        grid (str): Axis whose ticks get grid lines, ``'x'`` or ``'y'``.
    """
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color='#dddddd', linewidth=0.6)
