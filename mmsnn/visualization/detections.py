"""Pictures of detected objects beside the ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .predictions import Color
from .sample import COLUMNS, PictureSample, draw_not_measured, tidy_cell

#: How much of a mask's colour covers the image.
_OPACITY = 0.45
#: Characters that fit under an image.
_LINE = 50


@dataclass(frozen=True)
class Objects:
    """The objects of one image, true or detected.

    Attributes:
        boxes (np.ndarray): (N, 4): left, top, right, bottom in pixels of the
            image.
        labels (np.ndarray): Classes, (N, ), integers.
        scores (np.ndarray | None): (N, ), in 0..1; None for true ones.
        masks (np.ndarray | None): (N, H, W), bool.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def difference(self, other: 'Objects') -> str:
        """How other detections of the same image differ, in words.

        Args:
            other (Objects): The other detections, with scores like these.

        Returns:
            str: A clause, without full stop.

        Example:
            >>> one = Objects(np.array([[0, 0, 4, 4]]), np.array([1]),
            ...               np.array([0.9]))
            >>> one.difference(Objects(one.boxes + 0.5, one.labels,
            ...                        one.scores))
            'boxes differ by up to 0.5 px, scores by up to 0'
            >>> one.difference(Objects(one.boxes, np.array([2]), one.scores))
            'other objects'
        """
        if not np.array_equal(self.labels, other.labels):
            return 'other objects'
        if not len(self):
            return 'no object in both'
        pixels, points = (float(np.max(np.abs(a - b))) for a, b in (
            (self.boxes, other.boxes), (self.scores, other.scores)))
        text = (f'boxes differ by up to {pixels:.2g} px, scores by up to '
                f'{points:.2g}')
        if self.masks is not None and other.masks is not None:
            text += f', masks in {np.sum(self.masks != other.masks)} pixels'
        return text


def plot_detections(samples: Sequence[PictureSample],
                    classes: Sequence[str],
                    palette: Sequence[Color] | None = None) -> Figure:
    """Rows of ground truth and detections in both forms.

    What is None is shown as not measured. Under the detections in spike-train
    form stands how they differ from those in training form.

    Args:
        samples (Sequence[PictureSample]): One per row, with
            :class:`Objects`.
        classes (Sequence[str]): Names of the classes.
        palette (Sequence[tuple[int, int, int]], optional): RGB in 0..255 per
            class. Defaults to twenty colours that repeat.

    Returns:
        Figure: A row for each sample.

    Raises:
        ValueError: If there is no sample, or a label is no class.

    Example:
        >>> cat = Objects(np.array([[1, 1, 5, 5]]), np.array([0]))
        >>> sample = PictureSample(np.zeros((8, 8, 3), np.uint8), truth=cat)
        >>> figure = plot_detections([sample], ['cat'])
        >>> [text.get_text() for axes in figure.axes for text in axes.texts]
        ['cat', 'not measured', 'not measured']
    """
    if not samples:
        raise ValueError('no samples to plot')
    if palette is None:
        colors = colormaps['tab20'].colors
    else:
        colors = np.divide(palette, 255)
    height, width = np.shape(samples[0].image)[:2]
    cell = 3.2
    row = cell * min(max(height / width, 0.4), 2.0) + 0.3
    figure = Figure(
        figsize=(3 * cell + 0.4, row * len(samples) + 0.3),
        layout='constrained')
    grid = figure.subplots(len(samples), 3, squeeze=False)
    for cells, sample in zip(grid, samples):
        cells[0].set_ylabel(sample.name, fontsize=8)
        for axes, (field, _) in zip(cells, COLUMNS):
            tidy_cell(axes)
            _draw(axes, sample.image, getattr(sample, field), classes, colors)
        if sample.training is not None and sample.spike_train is not None:
            words = sample.training.difference(sample.spike_train)
            cells[2].set_xlabel(fill(words, _LINE), fontsize=8)
    for axes, (_, title) in zip(grid[0], COLUMNS):
        axes.set_title(title, fontsize=10)
    return figure


def _draw(axes, image, objects, classes, colors) -> None:
    if objects is None:
        draw_not_measured(axes, image)
        return
    wrong = [int(x) for x in objects.labels if not 0 <= x < len(classes)]
    if wrong:
        raise ValueError(f'label {wrong[0]} is no class; valid are 0 to '
                         f'{len(classes) - 1}')
    picture = np.asarray(image, dtype=float) / 255
    for i in range(len(objects) if objects.masks is not None else 0):
        where = np.asarray(objects.masks[i], dtype=bool)
        color = np.asarray(colors[objects.labels[i] % len(colors)])
        picture[where] = (1 - _OPACITY) * picture[where] + _OPACITY * color
    axes.imshow(picture)
    height, width = picture.shape[:2]
    for i in range(len(objects)):
        left, top, right, bottom = map(float, objects.boxes[i])
        color = colors[objects.labels[i] % len(colors)]
        text = str(classes[objects.labels[i]])
        if objects.scores is not None:
            text += f' {objects.scores[i]:.2f}'
        # Pixel i reaches from i - 1/2 to i + 1/2 in these axes.
        axes.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top,
                      fill=False, edgecolor=color, linewidth=1.3))
        inside = top < 0.06 * height  # no room above the box
        axes.text(
            min(max(left, 0), width - 1), min(max(top, 0), height - 1), text,
            fontsize=6, va='top' if inside else 'bottom', clip_on=True,
            bbox=dict(facecolor='white', alpha=0.7, edgecolor='none', pad=0.6))
