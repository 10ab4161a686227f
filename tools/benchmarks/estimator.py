"""CPU seconds of the estimator against those of the counting evaluation that
it reads: E-SpikeFormer with random weights on images of noise, one by one.

Each round evaluates all images with spike counts, then makes the network,
then all that the report shows (the network once more, energies, mapping,
spreads, traffic), then writes the report with its plots. CPU seconds do not
count the time of other processes; use one thread.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from rich.progress import track
from timing import at_most, parse_arguments, report

from mmsnn.conversion import to_spike_train
from mmsnn.engine.hardware_report import (
    Measured,
    make_report,
    write_hardware_files,
)
from mmsnn.hardware import network_from_trace
from mmsnn.models.backbones import ESpikeFormer
from mmsnn.models.published import classifier_config
from mmsnn.trace import OpTrace

ESTIMATES = 'network and estimates'
PHASES = (
    'counting evaluation', 'network of the trace', ESTIMATES,
    'report files and plots')


def evaluate(model: torch.nn.Module, images: torch.Tensor) -> OpTrace:
    """Count all images, one by one."""
    with torch.no_grad(), to_spike_train(model, 'counts') as spiking:
        for image in images:
            spiking(image[None], mode='tensor')
    return spiking.trace


def one_round(model: torch.nn.Module, images: torch.Tensor,
              chips: list[str]) -> Iterator[float]:
    """CPU seconds of each of :data:`PHASES`."""
    start = time.process_time()
    trace = evaluate(model, images)
    yield time.process_time() - start
    start = time.process_time()
    network_from_trace(trace)
    yield time.process_time() - start
    start = time.process_time()
    found = make_report(Config(), 'random.pth', Measured(trace, trace), chips)
    yield time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        write_hardware_files(Path(folder), found)
        yield time.process_time() - start


COLUMNS = (
    ('what', lambda row: row['what']),
    ('CPU s', lambda row: f'{row["seconds"]:.2f}'),
    ('of the evaluation', lambda row: f'{row["ratio"]:.1%}'),
    ('target', lambda row: at_most(row['target'])),
)


def main() -> None:
    arguments = parse_arguments(
        __doc__.splitlines()[0],
        rounds=3,
        arch=dict(choices=list(ESpikeFormer.arch_zoo), default='2.7m'),
        size=dict(type=int, default=224),
        images=dict(type=int, default=64),
        chips=dict(nargs='+', default=['cmos45', 'loihi']))
    model = MODELS.build(
        classifier_config(
            ESpikeFormer.arch_zoo[arguments.arch]['embed_dims'])).eval()
    images = torch.randn(arguments.images, 3, arguments.size, arguments.size)
    rounds = [
        list(one_round(model, images, arguments.chips))
        for _ in track(range(arguments.rounds), description='rounds')
    ]
    # In each round, over the evaluation of the same round.
    rows = [
        dict(
            what=f'{arguments.arch}, {arguments.images} images of '
            f'{arguments.size} px: {phase}',
            seconds=statistics.median(r[i] for r in rounds),
            ratio=statistics.median(r[i] / r[0] for r in rounds),
            target='10%' if phase == ESTIMATES else None,
            rounds=arguments.rounds) for i, phase in enumerate(PHASES)
    ]
    report(rows, arguments.json, COLUMNS)


if __name__ == '__main__':
    main()
