"""Pictures of classified images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure


@dataclass(frozen=True)
class ClassificationSample:
    """One image with its class and what was predicted.

    Attributes:
        image (np.ndarray): (H, W, 3), uint8, RGB.
        truth (int | None): Its class.
        training (int | None): Prediction in training form.
        spike_train (int | None): Prediction in spike-train form.
        name (str): Name of the image.
    """

    image: np.ndarray
    truth: int | None = None
    training: int | None = None
    spike_train: int | None = None
    name: str = ''


def plot_classifications(samples: Sequence[ClassificationSample],
                         classes: Sequence[str]) -> Figure:
    """Images with their class and both predictions, in red if one is wrong.

    Args:
        samples (Sequence[ClassificationSample]): One per image.
        classes (Sequence[str]): Names of the classes.

    Raises:
        ValueError: If there is no sample.

    Example:
        >>> sample = ClassificationSample(
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
