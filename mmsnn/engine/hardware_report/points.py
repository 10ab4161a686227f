"""Points of the plot of accuracy over energy: this run, and others."""

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from mmsnn.hardware import OperationsEstimate

#: Keys of a point -> types of their values.
POINT = dict(label=str, chip=str, energy_mj=(int, float), metric=str,
             value=(int, float))


def own_points(estimates: Sequence[OperationsEstimate],
               metrics: dict[str, float]) -> list[dict]:
    """The point of this run: its first metric that is finite, over the energy
    of its spiking form on the first chip where that is one number and no
    range.

    Args:
        estimates (Sequence[OperationsEstimate]): Energies, one per chip.
        metrics (dict[str, float]): Metrics in spike-train form, by name.

    Returns:
        list[dict]: The point, with the keys of :data:`POINT`; empty if there
        is no metric, or if each energy is a range.
    """
    exact = [e for e in estimates if e.exact and 'spiking_fp32' in e]
    finite = {name: value for name, value in metrics.items()
              if isfinite(value)}
    return [
        dict(label=f'D={e.max_spikes}', chip=e.chip,
             energy_mj=e['spiking_fp32'].energy_mj, metric=metric, value=value)
        for e in exact[:1] for metric, value in list(finite.items())[:1]
    ]


def read_points(path: Path) -> list[dict]:
    """Read the points that another run has written.

    Args:
        path (Path): The ``hardware.json`` of its report.

    Returns:
        list[dict]: Points with the keys of :data:`POINT`.

    Raises:
        ValueError: If it is no such file, or holds no point since the run
            measured no metric.
    """
    try:
        points = json.loads(Path(path).read_text())['points']
        for point in points:
            for name, kind in POINT.items():
                if not isinstance(point[name], kind):
                    raise TypeError(f'{name} of a point is {point[name]!r}')
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} is no hardware.json of this tool '
            f'({type(error).__name__}: {error}): run the tool once more with '
            '--metrics') from error
    if not points:
        raise ValueError(f'{path} holds no point of energy and accuracy: run '
                         'the tool once more with --metrics')
    return points
