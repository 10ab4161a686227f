"""A step of masked pre-training (forward, backward, AdamW) at 224 px, batch
4, ratio 0.6: masked tokens dropped against kept, and spike sparse convolutions
against ordinary ones (tokens kept in both). Time, and the most resident memory
of two steps above the loaded model, in a fresh process each (Linux): from the
second step on, AdamW's state lies beside the activations."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from memory import peak
from timing import TIMES, parse_arguments, ratio, report

from mmsnn.models import SpikeSparK

#: Ratio of the times, tokens dropped over kept.
TARGETS = {'10m': 0.8, '173m': 0.65}
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


def step(arch: str, way: str) -> Callable:
    """A function that trains one step."""
    torch.manual_seed(0)
    model = SpikeSparK(
        dict(type='mmsnn.MaskedESpikeFormer', arch=arch, **WAYS[way]),
        mask_ratio=0.6).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    images = torch.randn(4, 3, 224, 224)

    def run():
        optimizer.zero_grad()
        model.loss(images, None)['loss'].backward()
        optimizer.step()

    return run


def memory(arch: str, way: str, threads: int) -> float:
    """MB above the loaded model: activations, gradients, optimiser."""
    torch.set_num_threads(threads)
    run = step(arch, way)

    def two_steps():
        run()
        run()

    return peak(two_steps)['peak_mb']


def main() -> None:
    archs = list(TARGETS)
    arguments = parse_arguments(
        __doc__, rounds=5, archs=dict(nargs='+', choices=archs, default=archs))
    rows = []
    for arch in arguments.archs:
        peaks = {}
        for way in WAYS:
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                peaks[way] = process.submit(
                    memory, arch, way, torch.get_num_threads()).result()
        dense, kept, dropped = WAYS
        for base, other, target in ((kept, dropped, TARGETS[arch]),
                                    (dense, kept, None)):
            rows.append(
                dict(
                    ratio(arch, target, {
                        base: step(arch, base),
                        other: step(arch, other)
                    }, arguments.rounds),
                    baseline_mb=peaks[base],
                    candidate_mb=peaks[other]))
    report(rows, arguments.json, COLUMNS)


if __name__ == '__main__':
    main()
