"""Pictures of predictions beside the ground truth."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .sample import COLUMNS, PictureSample, draw_not_measured, tidy_cell

#: Colour of pixels that carry no class.
IGNORE_COLOR = (128, 128, 128)

Color = tuple[int, int, int]


def colorize(classes: np.ndarray, palette: Sequence[Color],
             ignore_index: int = 255) -> np.ndarray:
    """Colour a map of classes.

    Args:
        classes (np.ndarray): Class of each pixel, (H, W), integers.
        palette (Sequence[tuple[int, int, int]]): RGB in 0..255 per class.
        ignore_index (int): Value of pixels without class, which become grey.

    Returns:
        np.ndarray: RGB picture (H, W, 3), uint8.

    Raises:
        ValueError: If a class has no colour in the palette.

    Example:
        >>> colorize(np.array([[1, 255]]), [(0, 0, 0), (9, 8, 7)]).tolist()
        [[[9, 8, 7], [128, 128, 128]]]
    """
    classes = np.asarray(classes)
    ignored = classes == ignore_index
    known = (classes >= 0) & (classes < len(palette))
    if not np.all(known | ignored):
        wrong = np.unique(classes[~known & ~ignored]).tolist()
        raise ValueError(f'class map holds {wrong}; valid are 0 to '
                         f'{len(palette) - 1} and {ignore_index} (ignored)')
    colors = np.asarray(palette, dtype=np.uint8)
    picture = colors[np.where(ignored, 0, classes)]
    picture[ignored] = IGNORE_COLOR
    return picture


def plot_predictions(samples: Sequence[PictureSample],
                     classes: Sequence[str],
                     palette: Sequence[Color],
                     ignore_index: int = 255) -> Figure:
    """Rows of image, ground truth and prediction in both forms.

    A map that is None is shown as not measured. Under the prediction in
    spike-train form stands in how many pixels it differs from the training
    form.

    Args:
        samples (Sequence[PictureSample]): One per row, with maps of classes
            (H, W).
        classes (Sequence[str]): Names, for the legend.
        palette (Sequence[tuple[int, int, int]]): RGB in 0..255 per class.
        ignore_index (int): Value of pixels without class, shown grey.

    Returns:
        Figure: A row for each sample.

    Raises:
        ValueError: If there is no sample, or names and colours differ in
            number, or a map does not fit its image or holds a class without
            colour.

    Example:
        >>> classes = np.array([[0, 1], [1, 1]])
        >>> sample = PictureSample(
        ...     np.zeros((2, 2, 3), np.uint8), training=classes,
        ...     spike_train=np.zeros_like(classes))
        >>> figure = plot_predictions(
        ...     [sample], ['road', 'sky'], [(0, 0, 0), (0, 90, 200)])
        >>> figure.axes[3].get_xlabel()
        'differing pixels: 3'
    """
    if not samples:
        raise ValueError('no samples to plot')
    if len(classes) != len(palette):
        raise ValueError(f'{len(classes)} classes but {len(palette)} colours '
                         'in the palette')
    height, width = np.shape(samples[0].image)[:2]
    cell = 2.3
    row = cell * min(max(height / width, 0.4), 2.0) + 0.25
    legend_rows = -(-(len(classes) + 1) // 6)
    figure = Figure(
        figsize=(4 * cell + 0.4, row * len(samples) + 0.3 * legend_rows + 0.3),
        layout='constrained')
    grid = figure.subplots(len(samples), 4, squeeze=False)
    shown_ignored = False
    for cells, sample in zip(grid, samples):
        for axes in cells:
            tidy_cell(axes)
        cells[0].imshow(sample.image)
        cells[0].set_ylabel(sample.name, fontsize=9)
        for axes, (field, _) in zip(cells[1:], COLUMNS):
            classmap = getattr(sample, field)
            if classmap is None:
                draw_not_measured(axes, sample.image)
                continue
            if np.shape(classmap) != np.shape(sample.image)[:2]:
                raise ValueError(
                    f'{field} map of sample {sample.name!r} has shape '
                    f'{np.shape(classmap)}, its image '
                    f'{np.shape(sample.image)[:2]}')
            axes.imshow(
                colorize(classmap, palette, ignore_index),
                interpolation='nearest')
            shown_ignored |= bool(np.any(np.asarray(classmap) == ignore_index))
        if sample.training is not None and sample.spike_train is not None:
            differing = int(
                np.sum(np.asarray(sample.training) != sample.spike_train))
            cells[3].set_xlabel(
                f'differing pixels: {differing}', fontsize=8, labelpad=2)
    for axes, title in zip(grid[0], ('image', *(t for _, t in COLUMNS))):
        axes.set_title(title, fontsize=10)
    entries = [(name, np.divide(color, 255))
               for name, color in zip(classes, palette)]
    if shown_ignored:
        entries.append(('ignored', np.divide(IGNORE_COLOR, 255)))
    figure.legend(
        handles=[
            Patch(facecolor=color, edgecolor='#888888', label=name)
            for name, color in entries
        ],
        loc='outside lower center',
        ncols=min(len(entries), 6),
        frameon=False,
        fontsize=9)
    return figure
