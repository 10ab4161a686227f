"""Metrics of any kind: numbers, tables and texts of both forms compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite, isnan
from typing import Any

import numpy as np
import torch

#: A table with no more values than this is shown value by value.
MOST_VALUES = 12


@dataclass(frozen=True)
class LeftOut:
    """A value that is no number, table or text.

    Attributes:
        kind (str): Name of its class.
    """

    kind: str

    def __str__(self) -> str:
        return f'{self.kind}: no number, table or text'


#: A metric, or a part of one; None where it was not measured.
Value = float | np.ndarray | str | LeftOut | None


@dataclass(frozen=True)
class MetricRow:
    """One metric in both forms.

    Attributes:
        name (str): Its name; of a part of a metric, with the part's key.
        training (float | ndarray | str | LeftOut | None): In training form;
            None where it was not measured.
        spike_train (float | ndarray | str | LeftOut | None): In spike-train
            form.
        difference (float | None): Spike-train form less training form; of
            tables, the largest difference of a value, without sign. Infinite
            where a value is finite in one form only. None where there is
            nothing to subtract.
    """

    name: str
    training: Value
    spike_train: Value
    difference: float | None

    @property
    def is_number(self) -> bool:
        """Whether the metric is one number."""
        return all(x is None or isinstance(x, float)
                   for x in (self.training, self.spike_train))

    def in_words(self, value: Value) -> str | None:
        """A value as readers see it.

        Args:
            value (float | ndarray | str | LeftOut | None): One of the two.

        Returns:
            str | None: A short text; None where it was not measured.
        """
        if isinstance(value, float):
            return figure_text(value)
        if not isinstance(value, np.ndarray):
            return None if value is None else str(value)
        shape = ' x '.join(map(str, value.shape))
        if value.ndim != 1 or value.size > MOST_VALUES:
            return f'{shape} values'
        return ', '.join(map(figure_text, value.tolist())) or 'no value'

    @property
    def difference_in_words(self) -> str | None:
        """What the comparison found; None where one form was not measured."""
        first, second = self.training, self.spike_train
        if first is None or second is None:
            return None
        if isinstance(first, LeftOut) or isinstance(second, LeftOut):
            return 'not compared'
        if self.difference is None:
            if isinstance(first, str) and isinstance(second, str):
                return 'equal' if first == second else 'differs'
            return 'of another shape' if type(first) is type(
                second) else 'of another kind'
        if self.is_number:
            return f'{self.difference:+.3g}' if self.difference else '0'
        if not self.difference:
            return '0'
        worst = np.unravel_index(_gaps(first, second).argmax(), first.shape)
        where = ', '.join(map(str, worst))
        return f'largest {self.difference:.3g}, at [{where}]'

    def __str__(self) -> str:
        shown = [self.in_words(x) or 'not measured'
                 for x in (self.training, self.spike_train)]
        text = f'{self.name}: {shown[0]} in training form, {shown[1]} in ' \
            'spike-train form'
        found = self.difference_in_words
        return text if found is None else f'{text}, difference: {found}'


def compare_metrics(training: Mapping[str, Any],
                    spike_train: Mapping[str, Any]) -> list[MetricRow]:
    """Compare the metrics of both forms, of whatever kind they are.

    Args:
        training (Mapping[str, Any]): Metrics in training form, by name.
        spike_train (Mapping[str, Any]): Metrics in spike-train form.

    Returns:
        list[MetricRow]: One for each metric, and for each part of one that is
        a dict or a list of several kinds of values.

    Example:
        >>> first = dict(top1=70., precision=torch.tensor([.5, .25]))
        >>> second = dict(top1=69.5, precision=torch.tensor([.5, .125]))
        >>> for row in compare_metrics(first, second):
        ...     print(row)
        top1: 70 in training form, 69.5 in spike-train form, difference: -0.5
        precision: 0.5, 0.25 in training form, 0.5, 0.125 in spike-train form,
        difference: largest 0.125, at [1]
    """
    first, second = (dict(_flat(x)) for x in (training, spike_train))
    return [
        MetricRow(name, first.get(name), second.get(name),
                  _difference(first.get(name), second.get(name)))
        for name in dict.fromkeys([*first, *second])
    ]


def numbers_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those metrics that are one number each.

    Args:
        metrics (Mapping[str, Any]): Metrics by name.

    Returns:
        dict[str, float]: Numbers of Python, NumPy and PyTorch as floats; what
        is a table, a text or something else is left out.

    Example:
        >>> numbers_of(dict(a=np.float32(1), b=torch.tensor([2]), c=[1, 2]))
        {'a': 1.0, 'b': 2.0}
    """
    return {name: value for name, value in _flat(metrics)
            if isinstance(value, float)}


def json_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as JSON values.

    Args:
        metrics (Mapping[str, Any]): Metrics by name.

    Returns:
        dict[str, Any]: By name, numbers, lists of numbers and texts. JSON has
        no word for what is not finite: that becomes the texts ``'NaN'``,
        ``'Infinity'`` and ``'-Infinity'``, which ``float`` reads.

    Example:
        >>> json_metrics(dict(iou=torch.tensor([.5, float('nan')])))
        {'iou': [0.5, 'NaN']}
    """
    return {name: json_value(value) for name, value in _flat(metrics)}


def json_value(value: Any) -> Any:
    """A number, or a list or an array of numbers, as JSON has it.

    Args:
        value (Any): The value; all but floats and arrays stays as it is.

    Returns:
        Any: The value, see :func:`json_metrics` on what is not finite.
    """
    if isinstance(value, LeftOut):
        return str(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [json_value(x) for x in value]
    if not isinstance(value, float) or isfinite(value):
        return value
    return 'NaN' if isnan(value) else 'Infinity' if value > 0 else '-Infinity'


def _flat(metrics: Mapping[str, Any],
          prefix: str = '') -> Iterator[tuple[str, Value]]:
    """Names and values as :class:`MetricRow` has them."""
    for key, value in metrics.items():
        name = f'{prefix}{key}'
        found = _plain(value)
        if isinstance(value, Mapping):
            yield from _flat(value, f'{name}/')
        elif found is None and isinstance(value, (list, tuple)):
            yield from _flat(dict(enumerate(value)), f'{name}/')
        elif found is not None:
            yield name, found
        elif value is not None:
            yield name, LeftOut(type(value).__name__)


def _plain(value: Any) -> float | np.ndarray | str | None:
    """A float, an array of floats or a text; None for all else."""
    if isinstance(value, (str, float)):
        # Also NumPy's kinds of them.
        return str(value) if isinstance(value, str) else float(value)
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
    try:
        if isinstance(value, (list, tuple)):
            value = [_plain(x) for x in value]
            if any(x is None or isinstance(x, str) for x in value):
                return None
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    if array.dtype.kind not in 'buif':
        return None
    many = isinstance(value, list) or array.size != 1
    array = array.astype(float)
    return array if many else float(array.reshape(()))


def _difference(first: Any, second: Any) -> float | None:
    """See :attr:`MetricRow.difference`."""
    if isinstance(first, float) and isinstance(second, float):
        gap = float(_gaps(np.array(first), np.array(second)))
        return -gap if second < first else gap
    if not isinstance(first, np.ndarray) or not isinstance(
            second, np.ndarray) or first.shape != second.shape:
        return None
    return float(_gaps(first, second).max(initial=0.))


def _gaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How far apart values are; 0 for two of the same that is not finite."""
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid='ignore'):
        gaps = np.abs(second - first)
    return np.where(same, 0., np.where(np.isfinite(gaps), gaps, inf))


def figure_text(value: float) -> str:
    """A number as readers see it.

    Args:
        value (float): The number.

    Returns:
        str: Four significant digits, thousands separated.

    Example:
        >>> figure_text(12345.6), figure_text(0.123456)
        ('12,346', '0.1235')
    """
    if isfinite(value) and abs(value) >= 1e4:
        return f'{value:,.0f}'
    return f'{value:.4g}'
