"""Pictures of masked pre-training."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

_COLUMNS = ('image', 'masked', 'reconstruction')


def plot_reconstructions(
        rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Rows of image, masked image and reconstruction.

    Args:
        rows (Sequence[tuple[np.ndarray]]): Of each image the three pictures,
            (H, W, 3), uint8, RGB.

    Returns:
        Figure: A row for each image.

    Raises:
        ValueError: If there is no row.

    Example:
        >>> picture = np.zeros((16, 32, 3), np.uint8)
        >>> figure = plot_reconstructions([(picture, picture, picture)])
        >>> [axes.get_title() for axes in figure.axes]
        ['image', 'masked', 'reconstruction']
    """
    if not rows:
        raise ValueError('no images to plot')
    height, width = rows[0][0].shape[:2]
    figure = Figure(
        figsize=(4.5, 0.2 + 1.5 * height / width * len(rows)),
        layout='constrained')
    grid = figure.subplots(len(rows), len(_COLUMNS), squeeze=False)
    for title, axes in zip(_COLUMNS, grid[0]):
        axes.set_title(title, fontsize=8)
    for line, row in zip(grid, rows):
        for axes, picture in zip(line, row):
            axes.imshow(picture)
            axes.set_axis_off()
    return figure
