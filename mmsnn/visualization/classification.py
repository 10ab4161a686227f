"""Pictures of classified images."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from .sample import PictureSample


def plot_classifications(samples: Sequence[PictureSample],
                         classes: Sequence[str]) -> Figure:
    """Images with their class and both predictions, in red if one is wrong.

    Args:
        samples (Sequence[PictureSample]): One per image, with classes as
            integers.
        classes (Sequence[str]): Names of the classes.

    Returns:
        Figure: Up to six images in a row.

    Raises:
        ValueError: If there is no sample.

    Example:
        >>> import numpy as np
        >>> sample = PictureSample(
        ...     np.zeros((8, 8, 3), np.uint8), truth=1, spike_train=0)
        >>> figure = plot_classifications([sample], ['cat', 'dog'])
        >>> print(figure.axes[0].get_title())
        dog
        training form: not measured
        spike-train form: cat
    """
    if not samples:
        raise ValueError('no samples to plot')
    columns = min(len(samples), 6)
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.9 * rows), layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False).ravel()

    def text(label):
        return 'not measured' if label is None else str(classes[label])

    for axes in grid:
        axes.set_axis_off()
    for axes, sample in zip(grid, samples):
        axes.imshow(sample.image)
        wrong = sample.truth is not None and any(
            label not in (None, sample.truth)
            for label in (sample.training, sample.spike_train))
        axes.set_title(
            f'{text(sample.truth)}\ntraining form: {text(sample.training)}\n'
            f'spike-train form: {text(sample.spike_train)}',
            fontsize=8,
            color='#a03030' if wrong else 'black')
    return figure
