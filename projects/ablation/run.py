"""Repeat the ablation of the paper (Table V) at small scale on CIFAR-10.

Trains five models with several seeds, each in a process of its own, tests them
in spike-train form and writes table.md, results.json and accuracy_energy.png.
Repeat the command to go on with what an interrupt left.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from results import (
    MODELS,
    epoch_seconds,
    read_json,
    read_run,
    write_json,
    write_results,
)

PROJECT = Path(__file__).resolve().parent
ROOT = PROJECT.parents[1]
#: What a process takes that has done nothing yet.
IDLE = 'import mmpretrain.models, mmsnn.models, mmsnn.engine'


def parse_args(words=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--data', type=Path, default=os.environ.get('MMSNN_DATA') or 'data',
        help='folder that holds cifar10_12k/{train,test}/CLASS/*.jpg; '
        'defaults to $MMSNN_DATA, then to data')
    parser.add_argument(
        '--work-dir', type=Path, default='work_dirs/ablation')
    parser.add_argument('--seeds', type=int, default=3, metavar='N')
    parser.add_argument(
        '--epochs', type=int, help='instead of what the configs say')
    parser.add_argument(
        '--models', nargs='+', choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        '--jobs', type=int, default=2, metavar='N',
        help='runs at a time, which share the cores; times can be compared '
        'only within one table (default: 2)')
    args = parser.parse_args(words)
    if args.epochs is not None and args.epochs < 2:
        parser.error('--epochs must be at least 2: the first is the warm-up')
    return args


def check_data(data: Path) -> None:
    """Exit unless the images are where they are looked for."""
    for split in ('train', 'test'):
        folder = data / 'cifar10_12k' / split
        if not any(folder.glob('*/*.jpg')):
            sys.exit(f'no images in {folder}/CLASS/*.jpg: unpack CIFAR-10 '
                     'there, or name the folder that holds cifar10_12k by '
                     '--data or $MMSNN_DATA')


def call(command: list, log: Path, watch=None) -> float:
    """Run a command in a process of its own.

    Args:
        command (list): The command; Python files run with this Python.
        log (Path): File for its output, appended to.
        watch (Callable, optional): Called every second.

    Returns:
        float: Peak of the resident memory of the process, in MB.

    Raises:
        SystemExit: It failed; the message has the end of its output.
    """
    with log.open('a') as out:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)], stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT)
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                if watch:
                    watch()
                time.sleep(1)
        except BaseException:
            process.kill()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        end = '\n'.join(log.read_text().splitlines()[-15:])
        sys.exit(f'{end}\n{command[0]} failed; its whole output is in {log}')
    # Bytes on macOS, kilobytes elsewhere.
    return usage.ru_maxrss / (1e6 if sys.platform == 'darwin' else 1e3)


class Run:
    """One model trained with one seed, in a folder of its own.

    Args:
        model (str): Stem of its config.
        seed (int): The seed.
        args (Namespace): From :func:`parse_args`.
    """

    def __init__(self, model: str, seed: int,
                 args: argparse.Namespace) -> None:
        self.model, self.seed = model, seed
        self.shown = 0  # epochs
        self.folder = args.work_dir / model / f'seed{seed}'
        self.config = PROJECT / 'configs' / f'{model}.py'
        options = {'randomness.seed': seed}
        if args.epochs is not None:
            options['train_cfg.max_epochs'] = args.epochs
        cfg = Config.fromfile(self.config)
        cfg.merge_from_dict(options)
        self.epochs = cfg.train_cfg.max_epochs
        text = cfg.pretty_text.replace(os.environ['MMSNN_DATA'], '')
        self.key = hashlib.sha256(text.encode()).hexdigest()
        self.options = [
            '--work-dir', self.folder, '--cfg-options',
            *(f'{key}={value}' for key, value in options.items())
        ]

    def finish(self) -> dict:
        """Train and test, as far as that is not done yet.

        Returns:
            dict: What was measured, see :func:`results.read_run`, with the
            model and the seed.
        """
        result = self.folder / 'run.json'
        begun = self.folder / 'begun.txt'
        if begun.exists() and begun.read_text() != self.key:
            sys.exit(f'{self.folder} was begun with another config or other '
                     'options: delete it, or choose another --work-dir')
        self.folder.mkdir(parents=True, exist_ok=True)
        begun.write_text(self.key)
        if not result.exists():
            last = self.folder / 'last_checkpoint'
            checkpoint = self.folder / f'epoch_{self.epochs}.pth'
            if not (last.exists()
                    and last.read_text().endswith(checkpoint.name)):
                self.train()
            self.tool('test.py', self.config, checkpoint, '--out',
                      self.folder / 'metrics.json')
            write_json(result, read_run(self.folder, self.config))
        found = dict(read_json(result), model=self.model, seed=self.seed)
        self.say(f'accuracy {found["accuracy"]:.2f}%')
        return found

    def train(self) -> None:
        """Train, or go on training; note the peak memory."""
        before = len(epoch_seconds(self.folder))
        peak = self.tool('train.py', self.config, '--resume',
                         '--no-validate', watch=self.show_progress)
        if len(epoch_seconds(self.folder)) > before:
            write_json(self.folder / 'memory.json', dict(peak_mb=peak))

    def tool(self, name: str, *arguments, watch=None) -> float:
        command = [ROOT / 'tools' / name, *arguments, *self.options]
        return call(command, self.folder / 'output.log', watch)

    def show_progress(self) -> None:
        done = len(epoch_seconds(self.folder))
        if done >= self.shown + 5:
            self.shown = done
            self.say(f'epoch {done}/{self.epochs}')

    def say(self, text: str) -> None:
        print(f'{self.model}, seed {self.seed}: {text}', flush=True)


def main(words=None) -> None:
    args = parse_args(words)
    MMLogger.get_current_instance().setLevel('WARNING')
    check_data(args.data)
    # Read by the configs and the libraries, here and in the tools' processes.
    os.environ['MMSNN_DATA'] = str(args.data.resolve())
    os.environ['OMP_NUM_THREADS'] = str(
        max(1, torch.get_num_threads() // args.jobs))
    os.environ['PYTHONPATH'] = os.pathsep.join(
        [str(ROOT), os.environ.get('PYTHONPATH', '')])
    pool = ThreadPoolExecutor(args.jobs)
    try:
        found = list(pool.map(Run.finish, [
            Run(model, seed, args)
            for seed in range(args.seeds) for model in args.models]))
    finally:
        pool.shutdown(cancel_futures=True)
    idle = call(['-c', IDLE], args.work_dir / 'output.log')
    print(write_results(args.work_dir, found, idle))


if __name__ == '__main__':
    main()
