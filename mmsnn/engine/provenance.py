"""What is needed to repeat a run."""

import platform
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import mmcv
import mmengine
import torch

import mmsnn


def provenance(checkpoint: str | Path, seed: int | None) -> dict[str, Any]:
    """Collect what is needed to repeat a run, except its config.

    Args:
        checkpoint (str | Path): File of weights, or what they are.
        seed (int | None): Seed of the run; None where nothing was random.

    Returns:
        dict[str, Any]: ``date``, ``versions`` (a dict), ``machine``,
        ``command``, ``seed`` and ``checkpoint``.
    """
    return dict(
        date=datetime.now().astimezone().isoformat(timespec='seconds'),
        versions=dict(
            mmsnn=mmsnn.__version__,
            torch=torch.__version__,
            mmengine=mmengine.__version__,
            mmcv=mmcv.__version__,
            python=platform.python_version()),
        machine=f'{processor()}, {torch.get_num_threads()} threads',
        command=' '.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        seed='none' if seed is None else seed,
        checkpoint=Path(checkpoint).name)


def runner_provenance(runner) -> dict[str, Any]:
    """Collect what is needed to repeat what a Runner does.

    Args:
        runner (Runner): mmengine's Runner.

    Returns:
        dict[str, Any]: As :func:`provenance` gives it. Weights that were not
        loaded from a file are named by their iteration.
    """
    return provenance(
        runner._load_from or f'weights of iteration {runner.iter}',
        runner.seed)


def processor(device: str | None = None) -> str:
    """Name of the processor that computes.

    Args:
        device (str, optional): Device in use, such as ``'cpu'``. Defaults to
            None: the GPU where there is one.

    Returns:
        str: Model name of the GPU or CPU.
    """
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()
