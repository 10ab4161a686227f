"""Whether loading N-MNIST starves a training step of the small model on it:
time of one core for a batch and for a step on it, over an epoch, and how long
steps would wait for a worker on another core."""

import statistics
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from timing import at_most, parse_arguments, report

from mmsnn.engine.cli import set_loader_defaults
from mmsnn.engine.neuron_key import merge_options

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/events/' \
    'espikeformer-tiny_sfa1-t8_1xb25-40e_nmnist-1100.py'
#: T x D: the fewer time steps, the shorter a training step.
CHOICES = ((8, 1), (4, 2), (2, 4), (1, 8))
#: Loading may take at most as long as training on what was loaded.
TARGET = 1.
#: Batches of an epoch.
EPOCH = 40
COLUMNS = (
    ('what', lambda row: row['what']),
    ('batch', lambda row: str(row['batch'])),
    ('loading (ms)', lambda row: f'{row["loader_ms"]:.1f}'),
    ('slowest', lambda row: f'{row["loader_max_ms"]:.1f}'),
    ('training step (ms)', lambda row: f'{row["step_ms"]:.1f}'),
    ('fastest', lambda row: f'{row["step_min_ms"]:.1f}'),
    ('loading / step', lambda row: f'{row["ratio"]:.2f}'),
    ('target', lambda row: at_most(row['target'])),
    ('waiting (ms / epoch)', lambda row: f'{row["waiting_ms"]:.1f}'),
)


def waiting(loading: list[float], steps: list[float]) -> float:
    """How long steps wait for batches that one worker loads beside them.

    Args:
        loading (list[float]): Times to load the batches, s.
        steps (list[float]): Times of the steps, s. The first one's wait is
            not counted: nothing can be loaded before.

    Returns:
        float: Sum of all waits, s.
    """
    loaded = free = loading[0]
    waited = 0.
    for load, step in zip(loading[1:], steps):
        loaded += load
        free += step
        waited += max(0., loaded - free)
        free = max(loaded, free)
    return waited


def measure(timesteps: int, spikes: int, rounds: int) -> dict:
    """One row: the loader in this process, beside steps on its batches."""
    cfg = Config.fromfile(CONFIG)
    merge_options(cfg, {'neuron.timesteps': timesteps,
                        'neuron.max_spikes': spikes})
    set_loader_defaults(cfg)
    init_default_scope(cfg.default_scope)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    model = MODELS.build(cfg.model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    loading, steps = [], []

    def step(batch):
        batch = model.data_preprocessor(batch, training=True)
        loss, _ = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    batches = iter(loader)
    step(next(batches))  # the first one also compiles and allocates
    while len(steps) < rounds:
        start = time.thread_time()
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            continue
        loaded = time.thread_time()
        step(batch)
        loading.append(loaded - start)
        steps.append(time.thread_time() - loaded)
    return dict(
        what=f'T x D = {timesteps} x {spikes}',
        batch=loader.batch_size,
        loader_ms=statistics.median(loading) * 1e3,
        loader_max_ms=max(loading) * 1e3,
        step_ms=statistics.median(steps) * 1e3,
        step_min_ms=min(steps) * 1e3,
        ratio=statistics.median(loading) / statistics.median(steps),
        target=TARGET,
        waiting_ms=waiting(loading, steps) * 1e3,
        rounds=rounds)


def main() -> None:
    arguments = parse_arguments(__doc__, rounds=EPOCH)
    if torch.get_num_threads() != 1:
        raise SystemExit('loading and training are compared by the time of '
                         'one core: add --threads 1')
    report([measure(*choice, arguments.rounds) for choice in CHOICES],
           arguments.json, COLUMNS)


if __name__ == '__main__':
    main()
