"""One image with what both forms of a model make of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

#: Fields of a sample that a picture shows side by side, and their titles.
COLUMNS = (('truth', 'ground truth'), ('training', 'training form'),
           ('spike_train', 'spike-train form'))


@dataclass(frozen=True)
class PictureSample:
    """One image, its annotation and what both forms predict.

    What an annotation or a prediction is depends on the task: a class (int)
    of classified images, a map of classes (H, W) of segmented ones,
    :class:`Objects` of detections.

    Attributes:
        image (np.ndarray): (H, W, 3), uint8, RGB.
        truth (int | np.ndarray | Objects | None): Annotation.
        training (int | np.ndarray | Objects | None): Prediction in training
            form; None where it was not measured, as in the others.
        spike_train (int | np.ndarray | Objects | None): Prediction in
            spike-train form.
        name (str): Name of the image.
    """

    image: np.ndarray
    truth: Any = None
    training: Any = None
    spike_train: Any = None
    name: str = ''


def draw_not_measured(axes: Axes, image: np.ndarray) -> None:
    """Write "not measured" in the place of a picture.

    Args:
        axes (Axes): Where to draw.
        image (np.ndarray): An image of the size to leave blank, (H, W, 3).
    """
    axes.imshow(np.full_like(image, 255))
    axes.text(
        0.5, 0.5, 'not measured', ha='center', va='center',
        transform=axes.transAxes, color='#a03030', fontsize=9)


def tidy_cell(axes: Axes) -> None:
    """Give a picture in a grid a grey frame, and no ticks.

    Args:
        axes (Axes): Where the picture is drawn.
    """
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color('#cccccc')
