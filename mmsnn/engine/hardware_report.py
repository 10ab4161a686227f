"""A model on chips: images through it, and everything the report needs."""

import csv
import io
import json
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn

import mmsnn
from mmsnn.conversion import (
    EqualityCheck,
    OpTrace,
    SpikeTensor,
    to_spike_train,
)
from mmsnn.engine.cli import framework, set_loader_defaults
from mmsnn.engine.image_inference import load_model
from mmsnn.engine.report import processor
from mmsnn.files import dump_json, write_whole
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
from mmsnn.visualization import HardwareReport, write_hardware_report

#: Layers shown as spike maps.
MAPS = 4


@dataclass
class Measured:
    """What images through a model gave.

    Attributes:
        trace (OpTrace): Of all images.
        one_size (OpTrace): Of those of the commonest size.
        maps (dict[str, ndarray]): Spike maps of the first image.
        metrics (dict[str, float]): In spike-train form; empty if not asked
            for.
        free_running (str | None): How wrong that form was.
    """

    trace: OpTrace
    one_size: OpTrace
    maps: Dict[str, np.ndarray] = field(default_factory=dict)
    metrics: Dict[str, float] = field(default_factory=dict)
    free_running: Optional[str] = None


def measure(config: Config,
            checkpoint: Union[str, Path],
            images: int = 16,
            device: str = 'cpu',
            metrics: bool = False,
            free_running: bool = False) -> Measured:
    """Run test images of a config, one by one, in spike-train form.

    Args:
        config (Config): Of a classifier, detector or segmentor.
        checkpoint (str | Path): Its weights.
        images (int): Number of images; 0 for the whole test set. Defaults to
            16.
        device (str): Device to run on. Defaults to 'cpu'.
        metrics (bool): Also evaluate the config's metrics on them.
        free_running (bool): Also measure how wrong that form is.

    Raises:
        ValueError: If ``images`` is negative.
    """
    if images < 0:
        raise ValueError(f'images must be 0 (all) or more, but is {images}')
    scope = framework(config)
    if scope == 'mmpretrain':
        set_loader_defaults(config)
    with DefaultScope.overwrite_default_scope(scope):
        model = load_model(config, checkpoint, device)
        loader = Runner.build_dataloader(
            dict(config.test_dataloader, batch_size=1, num_workers=0,
                 persistent_workers=False))
        spiking = to_spike_train(model, 'counts')
        evaluator = _evaluator(config, loader) if metrics else None
        sizes = _run(spiking, loader, images, evaluator)
        trace = spiking.trace
        most = max(set(sizes), key=sizes.count)
        one_size = trace
        if len(set(sizes)) > 1:
            chosen = [i for i, s in enumerate(sizes) if s == most]
            _run(spiking, loader, images, None, set(chosen))
            one_size = spiking.trace
        first = next(iter(loader))
        return Measured(
            trace, one_size, _spike_maps(spiking, first),
            {k: float(v) for k, v in evaluator.evaluate(len(sizes)).items()}
            if evaluator else {},
            _free_running(model, first) if free_running else None)


def _evaluator(config: Config, loader) -> Evaluator:
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = loader.dataset.metainfo
    return evaluator


def _run(spiking, loader, images: int, evaluator: Optional[Evaluator],
         only: Optional[set] = None) -> List[tuple]:
    """Record a trace; returns the size of each image."""
    sizes, before = [], {}
    with spiking:
        for i, batch in enumerate(loader):
            if images and i >= images:
                break
            if only is not None and i not in only:
                continue
            outputs = spiking.test_step(batch)
            if evaluator is not None:
                evaluator.process(data_samples=outputs, data_batch=batch)
            now = dict(spiking.trace.image_shapes)
            sizes += [s for s in now if now[s] != before.get(s, 0)]
            before = now
    if not sizes:
        raise ValueError('the test dataset of the config holds no image')
    return sizes


def _spike_maps(spiking, batch) -> Dict[str, np.ndarray]:
    """Of some layers that have positions, evenly chosen: share of channels
    that fire, (sub-steps, H, W), of one image."""
    found: Dict[str, np.ndarray] = {}

    def keep(name):

        def hook(module, args, output):
            if isinstance(output, SpikeTensor) and output.dim() == 4 and (
                    name not in found):
                counts = output.counts()[:output.timesteps]
                found[name] = torch.stack([
                    (step >= d).float().mean(0) for step in counts
                    for d in range(1, output.max_spikes + 1)
                ]).cpu().numpy()

        return hook

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in spiking.module.named_modules()
        if type(module).__name__ == 'CountNeuron'
    ]
    try:
        spiking.test_step(batch)
    finally:
        for handle in handles:
            handle.remove()
    names = [n for n, m in found.items() if min(m.shape[1:]) > 1]
    step = max(1, len(names) // MAPS)
    return {n: found[n] for n in names[::step][:MAPS]}


def _free_running(model: nn.Module, batch) -> str:
    """Measured against the training form, on one batch."""
    try:
        check = EqualityCheck(model, to_spike_train(model, 'free_running'))
        data = model.data_preprocessor(batch, False)
        inputs = data['inputs'] if isinstance(data, dict) else data[0]
        samples = data.get('data_samples') if isinstance(data, dict) else None
        kwargs = dict(mode='tensor')
        if samples is not None:
            kwargs['data_samples'] = samples
        check.compare(inputs, **kwargs)
    except ValueError as error:
        return f'not measured: {error}'
    report = check.report
    lossless = sum(r.training_spikes for r in report.rows)
    spikes = sum(r.spike_train_spikes for r in report.rows)
    share = report.total_differences / max(1, report.total_neurons)
    change = spikes / lossless - 1 if lossless else 0.0
    return (f'Measured on {report.images} image: {share:.1%} of the neurons '
            f'fire differently, {change:+.1%} spikes, and what the model '
            f'returns is off by up to {report.output_error:.2g} of its '
            'largest value. The lossless form waits for all input of a layer '
            'before it fires and has no error.')


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


def write_all(folder: Path, report: HardwareReport) -> Path:
    """Write ``report.html`` with its pictures, ``hardware.json``,
    ``layers.csv``, ``chips.csv`` and ``trace.json``.

    Returns:
        Path: The HTML file.
    """
    report.trace.save(folder / 'trace.json')
    dump_json(
        folder / 'hardware.json',
        dict(
            title=report.title,
            images=report.images,
            estimates=[e.to_dict() for e in report.estimates],
            chips=[e.to_dict() for e in report.chips],
            failed=dict(report.failed),
            spreads={
                chip: {k: asdict(s) for k, s in found.items()}
                for chip, found in report.spreads.items()
            },
            rates={k: asdict(s) for k, s in report.rates.items()},
            traffic=[asdict(t) for t in report.traffic],
            hidden=[asdict(h) for h in report.hidden],
            implied=asdict(report.implied) if report.implied else None,
            free_running=report.free_running,
            metrics=report.metrics,
            points=list(report.points),
            provenance=dict(report.provenance)))
    _write_csv(folder / 'layers.csv', [asdict(t) for t in report.traffic])
    _write_csv(folder / 'chips.csv', [
        dict(chip=e.chip, name=row.name, kind=row.kind, target=row.target,
             cores=row.cores, neurons=row.neurons, limited_by=row.limited_by,
             fits=int(not row.reasons), cause=cause, low_mj=energy.low,
             high_mj=energy.high) for e in report.chips for row in e.rows
        for cause, energy in row.energy_mj.items()
    ])
    return write_hardware_report(folder / 'report.html', report)[0]


def _write_csv(path: Path, rows: List[Dict[str, Any]]) -> None:
    table = io.StringIO()
    if rows:
        writer = csv.DictWriter(table, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    write_whole(path, table.getvalue())


def format_report(report: HardwareReport) -> List[str]:
    """Lines for a terminal."""
    lines = [report.title, report.description, '']
    for e in report.chips:
        lines.append(
            f'{e.title}: {"fits" if e.fits else "does NOT fit"}, '
            f'{e.cores:,} cores on {e.chips:,} chips, {e.timing} {e.mode}: '
            f'{_or_missing(e.total_mj)} mJ alone, '
            f'{_or_missing(e.pipeline_total_mj)} mJ in a pipeline, '
            f'{_or_missing(e.latency_ms)} ms, '
            f'{_or_missing(e.throughput)} images/s')
        reasons = [f'{k}: {"; ".join(v)}' for k, v in e.reasons.items()]
        lines += [f'  {text}' for text in reasons[:3]]
        if len(reasons) > 3:
            lines.append(f'  ... and {len(reasons) - 3} more layers')
        lines += [f'  not measured: {k}: {v}' for k, v in e.missing.items()]
    for e in report.estimates:
        lines.append(f'{e.title}:')
        for result in e.results:
            spread = report.spreads[e.chip].get(result.key)
            lines.append(f'  {result.title}: '
                         f'{spread or format(result.energy_mj, ".4g")} mJ')
        lines += [f'  {text}' for text in e.verdicts]
    lines += [f'{k}: not measured: {v}' for k, v in report.failed.items()]
    lines.append(f'spikes per neuron and image: {report.rates["network"]}'
                 if report.rates else 'rates: not measured')
    lines.append(str(report.implied) if report.implied else
                 'implied spike count: not measured: no reported power')
    for h in report.hidden:
        lines.append(f'multiplications without spikes, {h.kind}: '
                     f'{h.macs:,.0f} MACs, {h.energy_mj:.3g} mJ')
    if report.free_running:
        lines.append(f'free running: {report.free_running}')
    lines += [f'{k}: {v:.4g}' for k, v in report.metrics.items()]
    return lines


def _or_missing(value) -> str:
    return 'not measured' if value is None else str(value)
