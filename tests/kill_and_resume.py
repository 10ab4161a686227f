"""Kills trainings with SIGKILL and resumes them; compares with trainings that
were left alone. Prints the table of docs/trust.md:

    python tests/kill_and_resume.py --kills 3
"""

import argparse
import copy
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from processes import free_port

import mmsnn
from mmsnn.engine.cli import build_runner, set_loader_defaults

BASE = (Path(mmsnn.ZOO) / 'configs/espikeformer'
        / 'espikeformer-tiny_sfa4_1xb64-20e_digits-32x32.py')
EPOCHS, BATCHES = 3, 5

# What a row of the table changes of the config.
ROWS = {
    'epochs': dict(),
    'epochs, checkpoints inside': dict(inside=True),
    'iterations': dict(loop='iterations'),
    'iterations, finite sampler': dict(loop='iterations', infinite=False),
    'epochs, 2 workers': dict(workers=2),
    'epochs, 2 persistent workers, checkpoints inside':
    dict(workers=2, persistent=True, inside=True),
    'epochs, 2 persistent workers': dict(workers=2, persistent=True),
    'iterations, 2 workers': dict(loop='iterations', workers=2),
    'iterations, 3 workers': dict(loop='iterations', workers=3),
    'epochs, 2 processes': dict(processes=2),
    'iterations, 2 processes, 2 persistent workers':
    dict(loop='iterations', processes=2, workers=2, persistent=True),
    'epochs, 3 processes': dict(processes=3),
    'epochs, FlexibleRunner, DDPStrategy, 2 processes':
    dict(processes=2, strategy='DDPStrategy'),
    'iterations, FlexibleRunner, FSDPStrategy, 2 processes':
    dict(loop='iterations', processes=2, strategy='FSDPStrategy'),
    'epochs, loss scaling': dict(amp=True, inside=True),
    'epochs, frozen backbone':
    dict(hooks=[dict(type='mmsnn.FreezeHook', modules=['backbone'],
                     begin=8)]),
    'epochs, evaluation in spike-train form':
    dict(hooks=[dict(type='mmsnn.SpikeInferenceHook', form='counts')]),
}


class ScalingOnCpu(AmpOptimWrapper):
    """mmengine's mixed precision, which asks for an accelerator, without."""

    def __init__(self, **kwargs):
        OptimWrapper.__init__(self, **kwargs)
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler(
            'cpu', init_scale=8., growth_interval=3)
        self.cast_dtype = torch.bfloat16


class Killed(Hook):
    """Kills its own process before an iteration."""

    priority = 'VERY_LOW'

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, *args, **kwargs):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


def config(folder, *, loop='epochs', inside=False, infinite=True, workers=0,
           persistent=False, processes=1, amp=False, hooks=(),
           plain=False, strategy=None):
    """The config of a small training; ``plain`` is without mmsnn's hooks."""
    cfg = Config.fromfile(BASE)
    scenes = dict(size=32, digit_height=(16, 24), train=20, val=8, cls_size=32)
    for key in ('train_dataloader', 'val_dataloader'):
        cfg[key].update(batch_size=4 // processes, num_workers=0)
        cfg[key].dataset.update(
            scenes=scenes, root=str(folder.parent / 'data'))
    cfg.train_dataloader.dataset.indices = 4 * BATCHES
    cfg.val_dataloader.dataset.indices = 8
    cfg.train_dataloader.update(
        num_workers=workers, persistent_workers=persistent)
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[1:1] = [
        dict(type='ColorJitter', brightness=0.4, contrast=0.4),
        dict(type='RandomErasing', erase_prob=0.5, mode='rand')
    ]
    model = cfg.model
    model.backbone.update(
        arch=dict(embed_dims=[8, 8, 16, 16], depths=[1] * 5),
        drop_path_rate=0.4)
    model.head.module.in_channels = 16
    model.train_cfg = dict(augments=dict(type='Mixup', alpha=0.2))
    cfg.optim_wrapper.update(accumulative_counts=3)
    if amp:
        OPTIM_WRAPPERS.register_module(module=ScalingOnCpu, force=True)
        cfg.optim_wrapper.type = 'ScalingOnCpu'
    if loop == 'iterations':
        cfg.train_cfg = dict(
            type='IterBasedTrainLoop', max_iters=EPOCHS * BATCHES,
            val_interval=4)
        if infinite:
            cfg.train_dataloader.sampler.type = 'InfiniteSampler'
        cfg.param_scheduler = [dict(
            type='CosineAnnealingLR', by_epoch=False, begin=0,
            end=EPOCHS * BATCHES)]
    else:
        cfg.train_cfg = dict(
            by_epoch=True, max_epochs=EPOCHS, val_interval=1)
        cfg.param_scheduler[1].end = EPOCHS
    by_epoch = loop == 'epochs' and not inside
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=by_epoch,
        interval=1 if by_epoch else 2, save_best='auto', max_keep_ckpts=3)
    cfg.default_hooks.logger = dict(type='LoggerHook', interval=1)
    if strategy:
        cfg.update(runner_type='FlexibleRunner', strategy=dict(type=strategy))
    if plain:
        cfg.default_hooks.update(exact_resume=None, finite_loss=None)
    cfg.log_processor = dict(by_epoch=loop == 'epochs', window_size=3)
    cfg.custom_hooks = [
        dict(type='EMAHook', momentum=0.1),
        dict(type='EarlyStoppingHook', monitor='accuracy/top1', patience=50),
        *copy.deepcopy(list(hooks))
    ]
    cfg.randomness = dict(seed=3)
    if any(hook['type'] == 'mmsnn.FreezeHook' for hook in hooks):
        cfg.find_unused_parameters = True
    cfg.work_dir = str(folder)
    cfg.launcher = 'pytorch' if processes > 1 else 'none'
    set_loader_defaults(cfg)
    return cfg


def start(cfg, processes=1, resume=False, kill=None):
    """Begin a training in processes of its own; returns their ids."""
    port, pids = free_port(), []
    for rank in range(processes):
        pid = os.fork()
        if not pid:
            _train(cfg, rank, processes, port, resume, kill)
        pids.append(pid)
    return pids


def _train(cfg, rank, processes, port, resume, kill):
    code = 1
    try:
        log = Path(cfg.work_dir).with_suffix(f'.{rank}.log')
        log.parent.mkdir(parents=True, exist_ok=True)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes),
            MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
        torch.set_num_threads(1)
        # Of another process: nothing is to be the same by chance.
        random.seed()
        np.random.seed()
        torch.seed()
        cfg.resume = resume
        runner = build_runner(cfg)
        if kill is not None:
            runner.register_hook(Killed(kill))
        runner.train()
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def import_all():
    """Import once what each training would import."""
    import mmpretrain.apis  # noqa: F401

    import mmsnn.engine.hooks
    import mmsnn.models  # noqa: F401


def wait(pids, kill_when=None):
    """Wait for a training, or kill it once a condition holds.

    Returns True if it came to its end.
    """
    left, codes, killing = set(pids), [], False
    while left:
        for pid in list(left):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                left.remove(pid)
                codes.append(os.waitstatus_to_exitcode(status))
        if not killing and (any(codes) or kill_when and kill_when()):
            killing = True
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    if any(code not in (0, -signal.SIGKILL) for code in codes):
        raise RuntimeError(f'a training ended with {codes}')
    return not any(codes)


def whole(folder, row):
    """A training that is left alone."""
    cfg = config(folder, **row)
    assert wait(start(cfg, row.get('processes', 1)))


def killed(folder, row, iterations):
    """A training that is killed before some iterations, and resumed."""
    processes = row.get('processes', 1)
    for i, iteration in enumerate((*iterations, None)):
        cfg = config(folder, **row)
        assert wait(start(cfg, processes, i > 0, iteration)) == (
            iteration is None)


def killed_at_random(folder, row, kills, draw):
    """A training that is killed at random times; returns the iterations that
    were logged when it was."""
    processes = row.get('processes', 1)
    places = []
    goals = sorted(draw.randrange(EPOCHS * BATCHES) for _ in range(kills))

    def reached():
        if _logged(folder) < goals[len(places)]:
            return False
        time.sleep(draw.uniform(0, 0.3))
        return True

    while True:
        cfg = config(folder, **row)
        if wait(start(cfg, processes, bool(places)),
                reached if len(places) < kills else None):
            return places
        places.append(_logged(folder))


def _logged(folder):
    return max((step for step, values in _steps(folder) if 'loss' in values),
               default=0)


def differences(first, second):
    """Compare what two trainings have left.

    Returns the number of tensors and numbers that were compared, and the
    names of those that differ.
    """
    sides = [dict(_left(folder)) for folder in (first, second)]
    names = sorted(set(sides[0]) | set(sides[1]))
    return len(names), [
        name for name in names
        if not _same(*(side.get(name) for side in sides))
    ]


def _same(x, y):
    if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor):
        return x.dtype == y.dtype and torch.equal(x, y)
    return type(x) is type(y) and (x == y or x != x and y != y)


def _left(folder):
    files = sorted(folder.glob('*.pth'), key=lambda x: x.name)
    for file in files:
        checkpoint = torch.load(file, weights_only=False)
        checkpoint['meta'] = {
            key: checkpoint['meta'][key] for key in ('epoch', 'iter')
        }
        for key in ('last_ckpt', 'best_ckpt'):
            path = checkpoint['message_hub']['runtime_info'].get(key)
            if path:
                checkpoint['message_hub']['runtime_info'][key] = Path(
                    path).name
        yield from _leaves(f'{file.name}', checkpoint)
    for step, values in _steps(folder):
        for key, value in values.items():
            yield f'log.{step}.{key}', value


def _leaves(path, value):
    if path.rsplit('.', 1)[-1].rsplit('/', 1)[-1] in (
            'time', 'data_time', 'eta', 'cfg', 'experiment_name',
            'mmengine_version'):
        return
    if isinstance(value, HistoryBuffer):
        value = list(map(float, value._log_history))
    if isinstance(value, dict):
        for key, x in value.items():
            yield from _leaves(f'{path}.{key}', x)
    elif isinstance(value, (list, tuple)):
        for i, x in enumerate(value):
            yield from _leaves(f'{path}.{i}', x)
    elif isinstance(value, np.ndarray):
        yield path, torch.from_numpy(value)
    else:
        yield path, value


def _steps(folder):
    """Logged values of each step, the last if there are more."""
    found = {}
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            try:
                values = json.loads(line)
            except ValueError:
                continue  # the process was killed while it wrote
            kind = 'loss' in values
            found[kind, values['step']] = {
                key: value
                for key, value in values.items()
                if key not in ('time', 'data_time', 'memory')
                and 'time' not in key
            }
    return sorted(
        ((step, values) for (_, step), values in found.items()),
        key=lambda x: (x[0], 'loss' in x[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--row', help='only rows whose name holds this')
    parser.add_argument('--folder', type=Path)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    folder = args.folder or Path(tempfile.mkdtemp())
    import_all()
    print('| training | killed at iteration | compared | differ |')
    print('| --- | --- | --- | --- |')
    failed = False
    for number, (name, row) in enumerate(ROWS.items()):
        if args.row and args.row not in name:
            continue
        first, second = folder / f'{number}_whole', folder / f'{number}_killed'
        whole(first, row)
        places = killed_at_random(second, row, args.kills, draw)
        count, differ = differences(first, second)
        failed |= bool(differ)
        print(f'| {name} | {", ".join(map(str, places))} | {count} | '
              f'{len(differ)} |', flush=True)
        for name in differ[:5]:
            print('   ', name, file=sys.stderr)
    return failed


if __name__ == '__main__':
    sys.exit(main())
