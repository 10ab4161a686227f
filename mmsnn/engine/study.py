"""Studies: many trainings, each in a process of its own, and one table.

What the commands under ``projects`` share. A study can be interrupted at any
time and goes on where it was when its command is repeated.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from threading import Lock

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from torch import nn

from mmsnn.files import dump_json, write_whole

#: mmengine's scope, which building a model sets, is that of all threads.
_BUILDING = Lock()


def read_json(path: Path):
    """Content of a JSON file.

    Args:
        path (Path): The file.
    """
    return json.loads(path.read_text())


def training_log(folder: Path) -> list[dict]:
    """What was logged while training.

    Args:
        folder (Path): Work folder of a run, interrupted or not.

    Returns:
        list[dict]: A line of the log for each iteration that has one, of the
        last attempt at it; with ``iter`` and ``time``, in s per iteration.
    """
    lines = {}
    for line in scalars(folder):
        if 'iter' in line and 'time' in line:
            lines[line['iter']] = line
    return [line for _, line in sorted(lines.items())]


def training_seconds(folder: Path) -> list[float]:
    """Training time between the lines of the log, in s.

    Data loading is part of it. It is exact where the means in the log are
    over all iterations since the line before (``log_processor.window_size``
    equal to ``default_hooks.logger.interval``).

    Args:
        folder (Path): Work folder of a run, interrupted or not.

    Returns:
        list[float]: A number for each line.
    """
    before, found = 0, []
    for line in training_log(folder):
        found.append(line['time'] * (line['iter'] - before))
        before = line['iter']
    return found


def scalars(folder: Path) -> list[dict]:
    """Lines of all logs in a work folder, oldest first.

    Args:
        folder (Path): Work folder of a run.

    Returns:
        list[dict]: What a line holds, such as ``iter`` and ``loss``.
    """
    return [
        json.loads(line)
        for log in sorted(folder.glob('*/vis_data/scalars.json'))
        for line in log.read_text().splitlines()
    ]


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config, without a Runner.

    Args:
        cfg (Config): With ``model`` and ``default_scope``.
    """
    with _BUILDING:
        return MODELS.build(dict(cfg.model, _scope_=cfg.default_scope))


def mean_and_std(values: Sequence[float | None]) -> dict | None:
    """Mean and standard deviation (of a sample), without what is unknown.

    Args:
        values (Sequence[float | None]): None where a value is unknown.

    Returns:
        dict | None: ``mean`` and ``std`` (0 of one value); None of none.

    Example:
        >>> mean_and_std([1., 2., None, 3.])
        {'mean': 2.0, 'std': 1.0}
    """
    values = [value for value in values if value is not None]
    if not values:
        return None
    return dict(mean=mean(values),
                std=stdev(values) if len(values) > 1 else 0.)


def call(command: list, log: Path,
         watch: Callable[[], None] | None = None) -> float:
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
    """One config trained and tested with one seed, in a folder of its own.

    Subclasses say in :meth:`measure` what is kept of it.

    Args:
        name (str): Name in progress lines.
        config (Path): The config.
        seed (int): The seed.
        folder (Path): Its work folder.
        tools (Path): Folder of ``train.py`` and ``test.py``.
        options (dict, optional): Keys of the config to change.
    """

    def __init__(self, name: str, config: Path, seed: int, folder: Path,
                 tools: Path, options: dict | None = None) -> None:
        self.name, self.config, self.seed = name, config, seed
        self.folder, self.tools = folder, tools
        options = {'randomness.seed': seed, **(options or {})}
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(options)
        self.unit, self.length = (
            ('iter', cfg.train_cfg.max_iters) if 'max_iters' in cfg.train_cfg
            else ('epoch', cfg.train_cfg.max_epochs))
        self.shown = 0
        text = cfg.pretty_text.replace(os.environ['MMSNN_DATA'], '')
        self.key = hashlib.sha256(text.encode()).hexdigest()
        self.options = [
            '--work-dir', folder, '--cfg-options',
            *(f'{key}={value}' for key, value in options.items())
        ]

    def measure(self) -> dict:
        """Collect what was measured, once training and test are done."""
        raise NotImplementedError

    def headline(self, found: dict) -> str:
        """What to print of that at the end.

        Args:
            found (dict): What :meth:`measure` found.
        """
        raise NotImplementedError

    def finish(self) -> dict:
        """Train and test, as far as that is not done yet.

        Returns:
            dict: What :meth:`measure` found, with the seed.

        Raises:
            SystemExit: The folder holds a run of another config, or a tool
                failed.
        """
        result = self.folder / 'run.json'
        begun = self.folder / 'begun.txt'
        if begun.exists() and begun.read_text() != self.key:
            sys.exit(f'{self.folder} was begun with another config or other '
                     'options: delete it, or choose another --work-dir')
        write_whole(begun, self.key)
        if not result.exists():
            last = self.folder / 'last_checkpoint'
            if not (last.exists()
                    and last.read_text().endswith(self.checkpoint.name)):
                self.train()
            self.test()
            dump_json(result, self.measure())
        found = dict(read_json(result), seed=self.seed)
        self.say(self.headline(found))
        return found

    def train(self) -> None:
        """Train, or go on training; note the peak memory."""
        before = len(training_log(self.folder))
        peak = self.tool('train.py', self.config, '--resume',
                         '--no-validate', watch=self.show_progress)
        if len(training_log(self.folder)) > before:
            dump_json(self.folder / 'memory.json', dict(peak_mb=peak))

    def test(self) -> None:
        """Test the last weights; the metrics go to ``metrics.json``."""
        self.tool('test.py', self.config, self.checkpoint, '--out',
                  self.folder / 'metrics.json')

    @property
    def checkpoint(self) -> Path:
        """The last weights of the run."""
        return self.folder / f'{self.unit}_{self.length}.pth'

    @property
    def parameters(self) -> int:
        """Number of parameters of the model."""
        model = build_model(Config.fromfile(self.config))
        return sum(p.numel() for p in model.parameters())

    @property
    def peak_mb(self) -> float | None:
        """Peak memory of training in MB; None if the process that trained it
        did not end."""
        path = self.folder / 'memory.json'
        return read_json(path)['peak_mb'] if path.exists() else None

    def tool(self, name: str, *arguments, watch=None) -> float:
        """Run a tool with the options of this run.

        Args:
            name (str): ``train.py`` or ``test.py``.
            *arguments: Of the tool.
            watch (Callable, optional): Called every second.

        Returns:
            float: Peak of the resident memory of its process, in MB.
        """
        command = [self.tools / name, *arguments, *self.options]
        return call(command, self.folder / 'output.log', watch)

    def show_progress(self) -> None:
        """Say how far training is, ten times in all."""
        log = training_log(self.folder)
        done = log[-1][self.unit] if log else 0
        if done >= self.shown + max(1, self.length // 10):
            self.shown = done
            self.say(f'{self.unit} {done}/{self.length}')

    def say(self, text: str) -> None:
        """Print a line of progress.

        Args:
            text (str): What to say of this run.
        """
        print(f'{self.name}, seed {self.seed}: {text}', flush=True)


def add_study_arguments(parser: argparse.ArgumentParser, holds: str,
                        work_dir: str) -> None:
    """Add the options that all studies have.

    Args:
        parser (argparse.ArgumentParser): The parser of a study.
        holds (str): What the folder of ``--data`` holds.
        work_dir (str): Default of ``--work-dir``.
    """
    parser.add_argument(
        '--data', type=Path, default=os.environ.get('MMSNN_DATA') or 'data',
        help=f'folder that holds {holds}; defaults to $MMSNN_DATA, then to '
        'data')
    parser.add_argument('--work-dir', type=Path, default=work_dir)
    parser.add_argument(
        '--jobs', type=int, default=2, metavar='N',
        help='runs at a time, which share the cores; times can be compared '
        'only within one table (default: 2)')


def prepare(args: argparse.Namespace, root: Path) -> None:
    """Set what the configs and the libraries read from the environment, here
    and in the processes of the tools.

    Args:
        args (Namespace): With the options of :func:`add_study_arguments`.
        root (Path): Folder that ``mmsnn`` is imported from.
    """
    MMLogger.get_current_instance().setLevel('WARNING')
    os.environ['MMSNN_DATA'] = str(args.data.resolve())
    os.environ['OMP_NUM_THREADS'] = str(
        max(1, torch.get_num_threads() // args.jobs))
    os.environ['PYTHONPATH'] = os.pathsep.join(
        [str(root), os.environ.get('PYTHONPATH', '')])


def finish_all(runs: Sequence[Run], jobs: int) -> list[dict]:
    """Finish runs, some at a time.

    Args:
        runs (Sequence[Run]): The runs.
        jobs (int): How many at a time.

    Returns:
        list[dict]: What they measured, in their order.
    """
    pool = ThreadPoolExecutor(jobs)
    try:
        return list(pool.map(lambda run: run.finish(), runs))
    finally:
        pool.shutdown(cancel_futures=True)
