"""Two processes with half the batch each against one; and torch.compile,
bfloat16 and averaged weights together with DistributedDataParallel."""

import os
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import (
    DATASETS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
)
from torch import nn
from torch.multiprocessing import start_processes
from torch.utils.data import Dataset

from mmsnn.engine.cli import build_runner
from mmsnn.models.backbones import ESpikeFormer

from .classifier import TINY

#: In float64, of a value or relative to it if that is above 1 (docs/trust.md:
#: 1e-16 was seen).
BOUND = 1e-12


@DATASETS.register_module()
class NoiseImages(Dataset):
    """Eight images of noise."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.rand(3, 32, 32, generator=generator,
                                      dtype=torch.float64))


@MODELS.register_module()
class NoiseModel(BaseModel):
    """A tiny backbone that learns a constant."""

    def __init__(self, dtype='float64', depths=TINY['depths']):
        super().__init__()
        self.backbone = ESpikeFormer(dict(TINY, depths=depths))
        self.head = nn.Conv2d(TINY['embed_dims'][-1], 3, 1)
        self.dtype = getattr(torch, dtype)
        self.to(self.dtype)

    def forward(self, inputs, mode='tensor'):
        out = self.head(self.backbone(
            torch.stack(list(inputs)).to(self.dtype))[-1])
        wanted = torch.linspace(
            -1, 2, 3, dtype=out.dtype, device=out.device)[:, None, None]
        errors = (out - wanted).square()
        if mode == 'predict':
            return [float(x) for x in errors.mean((1, 2, 3))]
        return dict(loss=errors.mean())


@METRICS.register_module()
class MeanError(BaseMetric):
    """Mean of what the model predicts."""

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(error=sum(results) / len(results))


@OPTIM_WRAPPERS.register_module()
class Bfloat16OnCPU(OptimWrapper):
    """What ``AmpOptimWrapper``, which asks for a GPU, is there."""

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), torch.autocast(
                'cpu', torch.bfloat16):
            yield


def config(folder: Path, launcher: str, together: bool) -> Config:
    """A training of four iterations, and a validation."""
    processes = 1 if launcher == 'none' else 2
    cuda = torch.cuda.is_available()
    loader = dict(
        num_workers=0, batch_size=4 // processes,
        dataset=dict(type='NoiseImages'))
    cfg = Config(dict(
        default_scope='mmengine', launcher=launcher, work_dir=str(folder),
        model=dict(type='NoiseModel'), sync_bn='torch',
        env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=120)),
        train_dataloader=dict(
            loader, sampler=dict(type='DefaultSampler', shuffle=True)),
        val_dataloader=dict(
            loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        val_evaluator=dict(type='MeanError'), val_cfg=dict(),
        train_cfg=dict(by_epoch=False, max_iters=4, val_interval=4),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(
            checkpoint=None, logger=dict(type='LoggerHook', interval=1)),
        randomness=dict(seed=0)))
    if together:
        cfg.model.dtype = 'float32'
        if not cuda:  # each block takes seconds to compile
            cfg.model.depths = [0] * 5
            cfg.train_cfg.update(max_iters=2, val_interval=2)
        cfg.custom_hooks = [dict(type='EMAHook', momentum=0.1)]
        cfg.compile = dict(backend='inductor' if cuda else 'aot_eager')
        cfg.optim_wrapper.update(
            dict(type='AmpOptimWrapper', dtype='bfloat16') if cuda else dict(
                type='Bfloat16OnCPU'))
    return cfg


def train(folder: Path, launcher: str, together: bool) -> dict:
    """Weights, averaged weights, losses and metric of this process."""
    runner = build_runner(config(folder, launcher, together))
    runner.train()
    found = {k.removeprefix('module.'): v.detach().cpu().clone()
             for k, v in runner.model.state_dict().items()}
    for hook in runner.hooks:
        if hasattr(hook, 'ema_model'):
            found.update({f'ema.{k}': v.detach().cpu().clone()
                          for k, v in hook.ema_model.state_dict().items()})
    hub = runner.message_hub
    return dict(
        weights=found,
        losses=[float(x) for x in hub.get_scalar('train/loss').data[0]],
        error=float(hub.get_scalar('val/error').current()))


def one_of_two(rank: int, port: int, folder: Path, together: bool) -> None:
    """What each process runs."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.save(train(folder / 'two', 'pytorch', together),
               folder / f'{rank}.pt')
    torch.distributed.destroy_process_group()


def in_two_processes(bench, folder: Path, together: bool) -> list[dict]:
    """What both have found; over NCCL, or gloo on a CPU."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    start_processes(
        one_of_two, (port, folder, together), 2,
        start_method='spawn' if bench.cuda else 'fork')
    return [torch.load(folder / f'{rank}.pt') for rank in range(2)]


def difference(one: dict, other: dict) -> float:
    """Largest difference of weights, relative to the larger one of value and
    1."""
    if one.keys() != other.keys():
        raise ValueError('weights differ in names: '
                         f'{sorted(one.keys() ^ other.keys())[:3]}')
    return max(
        float(((one[k] - other[k]).abs().double() /
               one[k].abs().double().clamp(min=1)).max()) for k in one)


def run_processes(bench) -> None:
    """Both comparisons, on two GPUs or two processes of the CPU."""
    if bench.cuda and torch.cuda.device_count() < 2:
        bench.add('several GPUs', '', note='left out: there is one GPU')
        return
    over = 'NCCL' if bench.cuda else 'gloo'
    for together in (False, True):
        what = ('torch.compile, bfloat16 and averaged weights with DDP'
                if together else 'half the batch each')
        what = f'two processes over {over}, {what}'
        try:
            with tempfile.TemporaryDirectory() as name:
                compare(bench, what, Path(name), together)
        except Exception as error:
            bench.fault(what, error)


def compare(bench, what: str, folder: Path, together: bool) -> None:
    """Rows and faults of one comparison."""
    first, second = in_two_processes(bench, folder, together)
    ranks = difference(first['weights'], second['weights'])
    notes = [f'processes differ by {ranks:.0e}']
    faulty = ranks > 0 or not all(
        torch.isfinite(torch.tensor(x['losses'])).all()
        for x in (first, second))
    if not together:
        one = train(folder / 'one', 'none', False)
        apart = difference(one['weights'], first['weights'])
        error = abs(one['error'] - first['error'])
        notes.append(f'from one process by {apart:.0e}, their metric by '
                     f'{error:.0e} (bound {BOUND:.0e})')
        faulty = faulty or apart > BOUND or error > BOUND
    notes.append(f'losses {", ".join(f"{x:.3f}" for x in first["losses"])}')
    bench.add(what, '', note='; '.join(notes))
    if faulty:
        bench.fault(what, notes[0] if ranks else '; '.join(notes[1:]))
