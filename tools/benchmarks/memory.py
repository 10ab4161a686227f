"""Peak memory of E-SpikeFormer with a spiking FPN in evaluation on CPU: the
most resident memory while one image runs, above that of the loaded model, each
measured in a fresh process. Needs Linux (/proc)."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import torch
from mmengine.registry import MODELS
from timing import at_most, parse_arguments, report
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.models.backbones import ESpikeFormer

#: MB that evaluation at 800x1280 may take above the loaded model.
TARGET = 2000
FORMS = dict(
    training='training form',
    counts='counts form, recording',
    spikes='spike trains (D = 4), recording')
#: arch, channels of the FPN, height, width, form, keep_freed_memory
CASES = [
    ('10m', 192, 400, 640, 'training', True),
    ('10m', 192, 800, 1280, 'training', True),
    ('10m', 192, 1200, 1920, 'training', True),
    ('10m', 256, 800, 1280, 'training', True),
    ('19m', 192, 800, 1280, 'training', True),
    ('19m', 256, 800, 1280, 'training', True),
    ('19m', 256, 800, 1280, 'training', False),
    ('19m', 256, 800, 1280, 'counts', True),
    ('19m', 256, 800, 1280, 'spikes', True),
]
COLUMNS = (
    ('what', lambda row: row['what']),
    ('size', lambda row: row['size']),
    ('loaded model (MB)', lambda row: f'{row["model_mb"]:.0f}'),
    ('peak above it (MB)', lambda row: f'{row["peak_mb"]:.0f}'),
    ('target', lambda row: at_most(row['target'])),
)


def resident(name: str) -> float:
    """A line of /proc/self/status, in MB: VmRSS is the resident memory now,
    VmHWM the most there was."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{name}:'):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f'/proc/self/status has no {name}')


def peak(run: Callable) -> dict:
    """MB before and at most above that while something runs."""
    before = resident('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # VmHWM starts anew
    run()
    return dict(model_mb=before, peak_mb=resident('VmHWM') - before)


def features(arch: str, channels: int, keep_freed_memory: bool) -> nn.Module:
    """Backbone and neck of a detector."""
    backbone = ESpikeFormer(
        arch, out_indices=(1, 2, 3, 4), keep_freed_memory=keep_freed_memory)
    widths = ESpikeFormer.arch_zoo[arch]['embed_dims']
    neck = MODELS.build(
        dict(
            type='mmsnn.SpikingModule',
            module=dict(
                type='mmdet.FPN',
                in_channels=list(widths),
                out_channels=channels,
                num_outs=5)))
    return nn.Sequential(backbone, neck).eval()


def measure(case: tuple, threads: int) -> dict:
    """MB of the loaded model, and at most above that while one image runs."""
    arch, channels, height, width, form, keep = case
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = features(arch, channels, keep)
    image = torch.randn(1, 3, height, width)
    running = nullcontext(model) if form == 'training' else to_spike_train(
        model, form)
    with torch.no_grad(), running as run:
        return peak(lambda: run(image))


def main() -> None:
    arguments = parse_arguments(__doc__, rounds=1)
    rows = []
    for case in CASES:
        found = []
        for _ in range(arguments.rounds):
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                found.append(
                    process.submit(measure, case,
                                   torch.get_num_threads()).result())
        arch, channels, height, width, form, keep = case
        rows.append(
            dict(
                max(found, key=lambda x: x['peak_mb']),
                what=f'{arch}, FPN of {channels}, {FORMS[form]}' +
                ('' if keep else ', freed memory given back'),
                size=f'{height}x{width}',
                target=TARGET if (height, width) == (800, 1280) else None,
                rounds=arguments.rounds))
    report(rows, arguments.json, COLUMNS)


if __name__ == '__main__':
    main()
