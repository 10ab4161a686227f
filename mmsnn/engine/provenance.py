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
    """What is needed to repeat a run, except its config.

    Args:
        checkpoint (str | Path): File of weights, or what they are.
        seed (int | None): None where nothing was random.

    Returns:
        dict: Date, versions, machine, command, seed and checkpoint.
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


def of_runner(runner) -> dict[str, Any]:
    """:func:`provenance` of what a Runner does.

    Args:
        runner (Runner): mmengine's Runner.
    """
    return provenance(
        runner._load_from or f'weights of iteration {runner.iter}',
        runner.seed)


def processor(device: str | None = None) -> str:
    """Name of what computes.

    Args:
        device (str, optional): Device in use. Defaults to None, the GPU where
            there is one.
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
