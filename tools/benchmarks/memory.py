"""Memory of E-SpikeFormer on CPU: the most resident memory above that of the
loaded model, each measured in a fresh process; of a training step beside its
ReLU twin's, with what is saved for the backward pass, and of the evaluation of
one image with a spiking FPN. Needs Linux (/proc)."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
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
#: Precision of a training step, and what it may take of the twin's.
TRAINING = dict(float32=0.55, bfloat16=0.8)
NEURONS = dict(
    ReLU=dict(type='ReLU'), SFA=dict(type='mmsnn.SFANeuron', max_spikes=4))
#: Images of 224x224 in a training step.
BATCH = 8
TRAINING_COLUMNS = (
    ('what', lambda row: row['what']),
    ('ReLU twin (MB)', lambda row: f'{row["ReLU"]:.0f}'),
    ('SFA (MB)', lambda row: f'{row["SFA"]:.0f}'),
    ('ratio', lambda row: f'{row["ratio"]:.2f}'),
    ('target', lambda row: at_most(row['target'])),
)
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


def saved_megabytes(run: Callable, model: nn.Module) -> float:
    """MB of all memory that operations save for their backward pass while
    something runs, each piece once, parameters left out."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    pieces = {}

    def pack(tensor):
        piece = tensor.untyped_storage()
        if piece.data_ptr() not in parameters:
            pieces[piece.data_ptr()] = piece
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        run()
    return sum(piece.nbytes() for piece in pieces.values()) / 1e6


def training_step(neuron: str, precision: str, keep_freed_memory: bool,
                  threads: int) -> dict:
    """MB at most held above the loaded model in a training step, and saved
    for the backward pass of another one."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = ESpikeFormer(
        '10m', neuron=NEURONS[neuron],
        keep_freed_memory=keep_freed_memory).train()
    images = torch.randn(BATCH, 3, 224, 224)
    autocast = torch.autocast(
        'cpu', torch.bfloat16, enabled=precision == 'bfloat16')

    def loss():
        with autocast:
            return model(images)[0].float().square().mean()

    found = peak(lambda: loss().backward())
    return dict(peak=found['peak_mb'], saved=saved_megabytes(loss, model))


def in_a_process(function: Callable, *arguments) -> dict:
    """Result of a function in a fresh process."""
    with ProcessPoolExecutor(1, get_context('spawn')) as process:
        return process.submit(function, *arguments,
                              torch.get_num_threads()).result()


@contextmanager
def blocks_given_back() -> Iterator[None]:
    """Processes that start meanwhile give each block of memory back when it
    is freed (glibc): what they hold is what is in use."""
    os.environ['MALLOC_MMAP_THRESHOLD_'] = '65536'
    try:
        yield
    finally:
        del os.environ['MALLOC_MMAP_THRESHOLD_']


def training_rows(rounds: int) -> list[dict]:
    """Training steps of the neuron beside those of its twin."""
    rows = []
    for precision, target in TRAINING.items():
        found = {name: [] for name in NEURONS}
        for _ in range(rounds):
            for name in NEURONS:
                kept = in_a_process(training_step, name, precision, True)
                with blocks_given_back():
                    used = in_a_process(training_step, name, precision, False)
                found[name].append(
                    dict(saved=used['saved'], used=used['peak'],
                         resident=kept['peak']))
        for key, what in (('saved', 'saved for the backward pass'),
                          ('used', 'most in use'),
                          ('resident', 'most resident, with freed memory')):
            most = {k: max(x[key] for x in xs) for k, xs in found.items()}
            rows.append(
                dict(
                    what=f'{precision}: {what}',
                    ratio=most['SFA'] / most['ReLU'],
                    target=None if key == 'resident' else target,
                    rounds=rounds,
                    **most))
    return rows


def evaluation_rows(rounds: int) -> list[dict]:
    """Evaluation of one image, case by case."""
    rows = []
    for case in CASES:
        found = [in_a_process(measure, case) for _ in range(rounds)]
        arch, channels, height, width, form, keep = case
        rows.append(
            dict(
                max(found, key=lambda x: x['peak_mb']),
                what=f'{arch}, FPN of {channels}, {FORMS[form]}' +
                ('' if keep else ', freed memory given back'),
                size=f'{height}x{width}',
                target=TARGET if (height, width) == (800, 1280) else None,
                rounds=rounds))
    return rows


def main() -> None:
    arguments = parse_arguments(
        __doc__,
        rounds=1,
        part=dict(
            choices=('training', 'evaluation'),
            default='evaluation',
            help='what to measure'))
    if arguments.part == 'training':
        report(training_rows(arguments.rounds), arguments.json,
               TRAINING_COLUMNS)
    else:
        report(evaluation_rows(arguments.rounds), arguments.json, COLUMNS)


if __name__ == '__main__':
    main()
