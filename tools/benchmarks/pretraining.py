"""A step of masked pre-training (forward, backward, AdamW) at 224 px, ratio
0.6: masked tokens dropped against kept, spike sparse convolutions against
ordinary ones (tokens kept in both), and both against neither. Time (with
``--threads 1`` that of the thread, which other programs don't lengthen), and
the most resident memory of two steps above the loaded model, in a fresh
process each (Linux): from the second step on, AdamW's state lies beside the
activations."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from memory import peak
from timing import TIMES, interleaved, parse_arguments, report

from mmsnn.models import SpikeSparK

#: Ratio of the times, tokens dropped over kept.
TARGETS = {'10m': 0.8, '83m': None, '173m': 0.65}
WAYS = {
    'ordinary convolutions': dict(ssc=False),
    'SSC, tokens kept': dict(drop_masked=False),
    'SSC, tokens dropped': dict(),
}
COLUMNS = (
    *TIMES,
    ('MB', lambda row: f'{row["baseline_mb"]:.0f}'),
    ('MB', lambda row: f'{row["candidate_mb"]:.0f}'),
    ('ratio', lambda row: f'{row["candidate_mb"] / row["baseline_mb"]:.2f}'),
)


def step(arch: str, way: str, batch: int) -> Callable:
    """A function that trains one step."""
    torch.manual_seed(0)
    model = SpikeSparK(
        dict(type='mmsnn.MaskedESpikeFormer', arch=arch, **WAYS[way]),
        mask_ratio=0.6).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    images = torch.randn(batch, 3, 224, 224)

    def run():
        optimizer.zero_grad()
        model.loss(images, None)['loss'].backward()
        optimizer.step()

    return run


def memory(arch: str, way: str, batch: int, threads: int) -> float:
    """MB above the loaded model: activations, gradients, optimiser."""
    torch.set_num_threads(threads)
    run = step(arch, way, batch)

    def two_steps():
        run()
        run()

    return peak(two_steps)['peak_mb']


def main() -> None:
    archs = list(TARGETS)
    arguments = parse_arguments(
        __doc__,
        rounds=5,
        archs=dict(nargs='+', choices=archs, default=archs),
        batch=dict(type=int, default=4))
    batch, threads = arguments.batch, torch.get_num_threads()
    clock = time.thread_time if threads == 1 else time.perf_counter
    rows = []
    for arch in arguments.archs:
        peaks = {}
        for way in WAYS:
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                peaks[way] = process.submit(memory, arch, way, batch,
                                            threads).result()
        seconds = interleaved({way: step(arch, way, batch)
                               for way in WAYS}, arguments.rounds, clock)
        dense, kept, dropped = WAYS
        for base, other, target in ((kept, dropped, TARGETS[arch]),
                                    (dense, kept, None),
                                    (dense, dropped, None)):
            rows.append(
                dict(
                    what=arch,
                    baseline=base,
                    candidate=other,
                    baseline_ms=seconds[base] * 1e3,
                    candidate_ms=seconds[other] * 1e3,
                    ratio=seconds[other] / seconds[base],
                    target=target,
                    rounds=arguments.rounds,
                    batch=batch,
                    baseline_mb=peaks[base],
                    candidate_mb=peaks[other]))
    report(rows, arguments.json, COLUMNS)


if __name__ == '__main__':
    main()
