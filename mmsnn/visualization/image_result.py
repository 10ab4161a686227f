"""The picture of one image: what is predicted, beside what it costs."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mmsnn.hardware.operations.results import OperationsEstimate
from mmsnn.hardware.plots.operations import draw_energy_totals

#: Most characters of a line of text.
_LINE = 104


def plot_image_result(drawn: np.ndarray,
                      estimate: OperationsEstimate,
                      texts: Mapping[str, Sequence[str]],
                      title: str = '') -> Figure:
    """Draw a prediction, the energy of all forms, and lines of text.

    Args:
        drawn (np.ndarray): Image with the prediction on it, (H, W, 3), uint8,
            RGB.
        estimate (OperationsEstimate): Energy of the image, by operation.
        texts (Mapping[str, Sequence[str]]): Heading -> lines below it.
        title (str): Title of the image. Defaults to ''.

    Returns:
        Figure: The prediction at the left; energy over text at the right.

    Raises:
        ValueError: If the image has another shape.
    """
    if np.ndim(drawn) != 3 or np.shape(drawn)[2] != 3:
        raise ValueError('the drawn image must have the shape (H, W, 3), but '
                         f'has {np.shape(drawn)}')
    lines = []
    for heading, rows in texts.items():
        lines.append(f'{heading[:1].upper()}{heading[1:]}')
        for row in rows:
            lines += textwrap.wrap(
                row, _LINE, initial_indent='  ', subsequent_indent='    ',
                break_on_hyphens=False)
        lines.append('')
    figure = Figure(figsize=(15, 2.6 + 0.155 * len(lines)),
                    layout='constrained')
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.5))
    axes = left.subplots()
    axes.imshow(drawn, interpolation='nearest')
    axes.set_axis_off()
    axes.set_title(title, fontsize=10)
    above, below = right.subfigures(
        2, 1, height_ratios=(2.4, 0.155 * len(lines)))
    draw_energy_totals(above, estimate, formula=False)
    below.text(
        0.02, 0.98, '\n'.join(lines), va='top', fontsize=8.5,
        family='monospace')
    return figure
