"""What the report shows, worked out from what was measured."""

import json
import platform
import sys
from datetime import datetime
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmengine.config import Config

import mmsnn
from mmsnn.engine.report import processor
from mmsnn.hardware import (
    Chip,
    ChipEstimate,
    Estimate,
    estimate,
    estimate_on_chip,
    load_chip,
    network_from_trace,
)
from mmsnn.hardware.paper import (
    hidden_multiplications,
    implied_count,
    reported_power,
)
from mmsnn.hardware.spread import energy_spreads, rate_spreads
from mmsnn.hardware.traffic import memory_traffic
from mmsnn.visualization import HardwareReport

from .measure import Measured


def estimates(measured: Measured, chips: Sequence[Union[str, Path, Chip]],
              **options) -> Tuple[List[Estimate], List[ChipEstimate],
                                  Dict[str, str]]:
    """Energy and time on chips.

    Args:
        measured (Measured): From :func:`measure`.
        chips (Sequence[str | Path | Chip]): Names or paths of specs, or
            specs.
        **options: For :func:`mmsnn.hardware.estimate_on_chip`.

    Returns:
        tuple: Estimates of specs that price operations, estimates of specs
        that have cores, and why others gave nothing, by name.
    """
    priced, mapped, failed = [], [], {}
    for name in chips:
        chip = name if isinstance(name, Chip) else load_chip(name)
        sections = {figure.split('.')[0] for figure in chip.figures}
        try:
            if sections & {'fp32', 'int8'}:
                priced.append(estimate(measured.trace, chip))
            if 'limits.cores' in chip.figures:
                mapped.append(_on_chip(measured, chip, options))
        except ValueError as error:
            failed[chip.name] = str(error)
    return priced, mapped, failed


def _on_chip(measured: Measured, chip: Chip, options: dict) -> ChipEstimate:
    return estimate_on_chip(
        network_from_trace(measured.one_size), chip, missing='report',
        **options)


def make_report(config: Config, checkpoint, measured: Measured,
                chips: Sequence[Union[str, Path, Chip]],
                power_mj: Optional[float] = None,
                points: Sequence[Path] = (),
                **options) -> HardwareReport:
    """Work out all that the report shows.

    Args:
        config (Config): The config.
        checkpoint (str | Path): For the provenance.
        measured (Measured): From :func:`measure`.
        chips (Sequence[str | Path | Chip]): Names or paths of specs, or
            specs.
        power_mj (float, optional): A reported power. Defaults to None: that
            of the paper, where it has one for the config's name.
        points (Sequence[Path]): ``hardware.json`` of other runs, for energy
            over accuracy.
        **options: For :func:`mmsnn.hardware.estimate_on_chip`.
    """
    name = Path(config.filename or 'model').stem
    priced, mapped, failed = estimates(measured, chips, **options)
    power_mj = reported_power(name) if power_mj is None else power_mj
    trace = measured.trace
    shapes = ', '.join(' x '.join(map(str, s)) for s in trace.image_shapes)
    own = [
        dict(label=f'D={e.max_spikes}', energy_mj=r.energy_mj, metric=metric,
             value=value) for e in priced[:1] for r in e.results[:1]
        for metric, value in list(measured.metrics.items())[:1]
    ]
    return HardwareReport(
        title=f'{name} on chips',
        description=f'Means of {trace.images} test images of {shapes}, in '
        'spike-train form (spike counts; nothing is expanded). Lossless: a '
        'layer fires when all its input has arrived.',
        trace=trace,
        estimates=priced,
        chips=mapped,
        failed=failed,
        spreads={e.chip: energy_spreads(trace, e) for e in priced},
        rates=rate_spreads(trace),
        traffic=memory_traffic(trace),
        hidden=hidden_multiplications(trace),
        implied=None if power_mj is None else implied_count(trace, power_mj),
        free_running=measured.free_running,
        metrics=measured.metrics,
        points=own + [p for path in points for p in _points(path)],
        spike_maps=measured.maps,
        provenance=dict(
            date=datetime.now().astimezone().isoformat(timespec='seconds'),
            mmsnn=mmsnn.__version__,
            torch=torch.__version__,
            python=platform.python_version(),
            machine=processor(),
            command=' '.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            checkpoint=Path(checkpoint).name))


def _points(path: Path) -> List[Mapping]:
    try:
        return json.loads(Path(path).read_text())['points']
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path} is no hardware.json of this tool: {error}'
                         ) from error
