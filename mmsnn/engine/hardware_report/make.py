"""What the report shows, worked out from what was measured."""

import platform
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch
from mmengine.config import Config

import mmsnn
from mmsnn.conversion import FreeRunningRun
from mmsnn.engine.report import processor
from mmsnn.hardware import (
    Chip,
    ChipEstimate,
    Estimate,
    estimate,
    estimates_on_chip,
    load_chip,
    network_from_trace,
)
from mmsnn.hardware.form_comparison import compare_forms
from mmsnn.hardware.on_chip.spread import ChipSpread, chip_spreads
from mmsnn.hardware.operations.paper import (
    hidden_multiplications,
    implied_count,
    reported_power,
)
from mmsnn.hardware.operations.spread import energy_spreads, rate_spreads
from mmsnn.hardware.operations.traffic import memory_traffic
from mmsnn.visualization import HardwareReport

from .free_running import in_words
from .measure import Measured
from .points import own_points, read_points


def estimates(measured: Measured, chips: Sequence[str | Path | Chip],
              **options) -> tuple[list[Estimate], list[ChipEstimate],
                                  dict[str, str]]:
    """Energy and time on chips.

    Args:
        measured (Measured): From :func:`measure`.
        chips (Sequence[str | Path | Chip]): Names or paths of specs, or
            specs.
        **options: For :func:`mmsnn.hardware.estimates_on_chip`.

    Returns:
        tuple: Estimates of specs that price operations; of specs that have
        cores, one for each timing that the chip supports; and why others gave
        nothing, by name.
    """
    priced, mapped, failed = [], [], {}
    network = None
    for chip in load_chips(chips):
        sections = {figure.split('.')[0] for figure in chip.figures}
        try:
            if sections & {'fp32', 'int8'}:
                priced.append(estimate(measured.trace, chip))
            elif not chip.has_cores:
                raise ValueError(
                    f'chip spec {chip.path} has neither costs of operations '
                    '(sections fp32, int8) nor cores (limits.cores): nothing '
                    'can be estimated from it')
            if chip.has_cores:
                network = network or network_from_trace(measured.one_size)
                mapped += estimates_on_chip(network, chip, missing='report',
                                            **options)
        except ValueError as error:
            failed[chip.name] = str(error)
    return priced, mapped, failed


def spreads_on_chips(measured: Measured, chips: Sequence[Chip],
                     **options) -> tuple[list[ChipSpread], dict[str, str]]:
    """How much energy and time differ between images, on chips with cores.

    Args:
        measured (Measured): From :func:`measure`.
        chips (Sequence[Chip]): Chip specs.
        **options: For :func:`mmsnn.hardware.on_chip.spread.chip_spreads`.

    Returns:
        tuple: Spreads, one for each timing that a chip supports; and why
        others gave nothing, by name.
    """
    found, failed = [], {}
    for chip in chips:
        if chip.has_cores:
            try:
                found += chip_spreads(measured.one_size, chip, **options)
            except ValueError as error:
                failed[f'{chip.name}, spread over images'] = str(error)
    return found, failed


def load_chips(chips: Sequence[str | Path | Chip]) -> list[Chip]:
    """Specs by name or path, each with a name of its own.

    Raises:
        ValueError: If there is no such spec, or two have one name.
    """
    loaded = [c if isinstance(c, Chip) else load_chip(c) for c in chips]
    by_name: dict[str, Chip] = {}
    for chip in loaded:
        other = by_name.setdefault(chip.name, chip)
        if other is not chip:
            raise ValueError(
                f'two chip specs have the name {chip.name!r}, {other.path} '
                f'and {chip.path}: results are told apart by it, give one of '
                'them another name')
    return loaded


def make_report(config: Config, checkpoint, measured: Measured,
                chips: Sequence[str | Path | Chip],
                power_mj: float | None = None,
                points: Sequence[Path] = (),
                spread: bool = False,
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
            over accuracy, see :func:`.points.read_points`.
        spread (bool): Also estimate each image for itself on chips with
            cores.
        **options: For :func:`mmsnn.hardware.estimates_on_chip`.
    """
    chips = load_chips(chips)
    name = Path(config.filename or 'model').stem
    priced, mapped, failed = estimates(measured, chips, **options)
    over_images, unknown = spreads_on_chips(
        measured, chips if spread else (), **options)
    power_mj = reported_power(name) if power_mj is None else power_mj
    trace = measured.trace
    shapes = ', '.join(' x '.join(map(str, s)) for s in trace.image_shapes)
    return HardwareReport(
        title=f'{name} on chips',
        description=f'Means of {trace.images} test images of {shapes}, in '
        'spike-train form (spike counts; nothing is expanded). Lossless: a '
        'layer fires when all its input has arrived.',
        trace=trace,
        estimates=priced,
        chips=mapped,
        failed={**failed, **unknown},
        chip_spreads=over_images,
        spreads={e.chip: energy_spreads(trace, e) for e in priced},
        rates=rate_spreads(trace),
        traffic=memory_traffic(trace),
        hidden=hidden_multiplications(trace),
        implied=None if power_mj is None else implied_count(trace, power_mj),
        **_free_running(measured.free_running, chips, options),
        metrics=measured.metrics,
        points=own_points(priced, measured.metrics) +
        [p for path in points for p in read_points(path)],
        spike_maps=measured.maps,
        provenance=dict(
            date=datetime.now().astimezone().isoformat(timespec='seconds'),
            mmsnn=mmsnn.__version__,
            torch=torch.__version__,
            python=platform.python_version(),
            machine=processor(),
            command=' '.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            checkpoint=Path(checkpoint).name))


def _free_running(run: FreeRunningRun | str | None, chips: list[Chip],
                  options: dict) -> dict:
    if run is None or isinstance(run, str):
        return dict(free_running=run)
    words = in_words(run.equality)
    try:
        rows = compare_forms(run.lossless, run.trace, chips, **options)
    except ValueError as error:
        return dict(free_running=f'{words} Its cost: not measured: {error}')
    return dict(free_running=words, beside_lossless=rows)
