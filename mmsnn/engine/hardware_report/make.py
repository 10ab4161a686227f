"""The report on hardware, computed from what was measured."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from mmsnn.conversion import FreeRunningRun
from mmsnn.engine.provenance import provenance
from mmsnn.hardware import Chip, estimate, load_chips
from mmsnn.hardware.form_comparison import compare_forms
from mmsnn.hardware.on_chip.spread import ChipSpread, chip_spreads
from mmsnn.hardware.operations.paper import (
    hidden_multiplications,
    implied_count,
    reported_energy,
)
from mmsnn.hardware.operations.spread import energy_spreads, rate_spreads
from mmsnn.hardware.operations.traffic import memory_traffic
from mmsnn.visualization import HardwareReport

from .free_running import error_in_words
from .measure import Measured
from .points import own_points, read_points


def spreads_on_chips(measured: Measured, chips: Sequence[Chip],
                     **options) -> tuple[list[ChipSpread], dict[str, str]]:
    """How much energy and time differ between images, on chips with cores.

    Args:
        measured (Measured): What :func:`measure` gave.
        chips (Sequence[Chip]): Chip specs; those without cores are skipped.
        **options: Options of
            :func:`mmsnn.hardware.on_chip.spread.chip_spreads`.

    Returns:
        tuple[list[ChipSpread], dict[str, str]]: Spreads, one for each timing
        that a chip supports; and name of a chip -> why it gave none.
    """
    found, failed = [], {}
    for chip in chips:
        if chip.has_cores:
            try:
                found += chip_spreads(measured.one_size, chip, **options)
            except ValueError as error:
                failed[f'{chip.name}, spread over images'] = str(error)
    return found, failed


def make_report(config: Config, checkpoint, measured: Measured,
                chips: Sequence[str | Path | Chip],
                power_mj: float | None = None,
                points: Sequence[Path] = (),
                spread: bool = False,
                **options) -> HardwareReport:
    """Compute all that the report shows.

    Args:
        config (Config): Config of the model; its file name is the title.
        checkpoint (str | Path): File of weights, or what they are, for the
            provenance.
        measured (Measured): What :func:`measure` gave.
        chips (Sequence[str | Path | Chip]): Names or paths of chip specs, or
            specs.
        power_mj (float, optional): A reported power of the model, in mJ per
            image. Defaults to None: the one in the paper, if it reports one
            for the config.
        points (Sequence[Path]): ``hardware.json`` of other runs, for the plot
            of accuracy over energy, see :func:`.points.read_points`.
        spread (bool): Whether to estimate also each image by itself on chips
            with cores, to see how images differ. Defaults to False.
        **options: Options of :func:`mmsnn.hardware.estimate`, ``weights`` and
            ``weight_bits``.

    Returns:
        HardwareReport: What :func:`.files.write_hardware_files` writes and
        :func:`.text.format_report` prints.

    Raises:
        ValueError: If a chip spec or a file of points can not be read.
    """
    chips = load_chips(chips)
    name = Path(config.filename or 'model').stem
    found = estimate(measured.trace, chips, network=measured.one_size,
                     missing='report', **options)
    over_images, unknown = spreads_on_chips(
        measured, chips if spread else (), **options)
    power_mj = reported_energy(name) if power_mj is None else power_mj
    trace = measured.trace
    shapes = ', '.join(' x '.join(map(str, s)) for s in trace.image_shapes)
    return HardwareReport(
        title=f'{name} on chips',
        description=f'Means of {trace.images} test images of {shapes}, in '
        'spike-train form (spike counts; nothing is expanded). Lossless: a '
        'layer fires when all its input has arrived.',
        trace=trace,
        estimate=replace(found, failed={**found.failed, **unknown}),
        chip_spreads=over_images,
        spreads={e.chip: energy_spreads(trace, e) for e in found.operations},
        rates=rate_spreads(trace),
        traffic=memory_traffic(trace),
        hidden=hidden_multiplications(trace),
        implied=None if power_mj is None else implied_count(trace, power_mj),
        **_free_running(measured.free_running, chips, options),
        metrics=measured.metrics,
        points=own_points(found.operations, measured.metrics) +
        [p for path in points for p in read_points(path)],
        spike_maps=measured.maps,
        provenance=provenance(checkpoint, None))


def _free_running(run: FreeRunningRun | str | None, chips: list[Chip],
                  options: dict) -> dict:
    if run is None or isinstance(run, str):
        return dict(free_running=run)
    words = error_in_words(run.equality)
    try:
        rows = compare_forms(run.lossless, run.trace, chips, **options)
    except ValueError as error:
        return dict(free_running=f'{words} Its cost: not measured: {error}')
    return dict(free_running=words, beside_lossless=rows)
