"""One of several processes fails: the run ends, and says why once."""

import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint
from torch.distributed import TCPStore

# Words of errors that only say that another process has gone.
_GONE = ('Connection closed by peer', 'Connection reset by peer',
         'Broken pipe', 'Socket closed', 'recvValue failed',
         'failed to recv', 'Connection was likely closed',
         'NCCL communicator was aborted', 'remote process exited')

#: Seconds that a process waits to be ended after another has gone.
PATIENCE = 8


def has_lost_others(error: BaseException) -> bool:
    """Whether an error says nothing but that another process has gone.

    Args:
        error (BaseException): What was raised here.

    Example:
        >>> has_lost_others(RuntimeError('[...] Connection closed by peer'))
        True
        >>> has_lost_others(ValueError('bad key'))
        False
    """
    return isinstance(error, (RuntimeError, OSError)) and any(
        words in str(error) for words in _GONE)


class FailsOnce(AbstractContextManager):
    """Context of a process among several: whoever fails first says why, and
    ends at once. Others that fail with the same words, or only lose it, end
    without a word, most often by the launcher (torchrun, srun, mpirun).

    Args:
        launcher (str): That of the run; ``'none'`` for a process alone.

    Example:
        >>> with FailsOnce('none'):
        ...     print('trains')
        trains
    """

    def __init__(self, launcher: str) -> None:
        self.alone = launcher == 'none'

    def __exit__(self, kind, error, trace) -> bool:
        if self.alone or not isinstance(error, Exception):
            return False
        if has_lost_others(error) or not _is_first(error, os.environ):
            sys.stdout.flush()
            time.sleep(PATIENCE)
            print(
                f'process {os.environ.get("RANK", "?")} ends, too: the error '
                'is that of another process', file=sys.stderr)
        else:
            sys.excepthook(kind, error, trace)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(1)  # the end of an interpreter may wait for other processes


def _is_first(error: Exception, environ: Mapping[str, str]) -> bool:
    """Whether no process has failed with the same words before."""
    words = f'{type(error).__name__}: {error}'
    again = environ.get('TORCHELASTIC_RESTART_COUNT', '0')
    key = f'mmsnn/{again}/{hashlib.sha256(words.encode()).hexdigest()}'
    try:
        store = TCPStore(
            environ['MASTER_ADDR'], int(environ['MASTER_PORT']),
            is_master=False, wait_for_workers=False,
            timeout=timedelta(seconds=2))
        return store.add(key, 1) == 1
    except (KeyError, RuntimeError):  # there is none, or it has gone
        return True


def resume_after_restart(cfg: Config, environ: Mapping[str, str]) -> None:
    """Let processes that torchrun starts once more go on from the run's last
    whole checkpoint.

    Args:
        cfg (Config): The config, changed in place.
        environ (Mapping[str, str]): The environment of the process.

    Raises:
        ValueError: The run may be restarted, but its ``work_dir`` holds
            checkpoints that are not its own.

    Example:
        >>> import tempfile
        >>> import torch
        >>> folder = Path(tempfile.mkdtemp())
        >>> torch.save(dict(state_dict={}), folder / 'iter_4.pth')
        >>> _ = (folder / 'last_checkpoint').write_text('iter_4.pth')
        >>> cfg = Config(dict(work_dir=str(folder), load_from='first.pth'))
        >>> resume_after_restart(cfg, dict(
        ...     TORCHELASTIC_MAX_RESTARTS='1', TORCHELASTIC_RESTART_COUNT='1'))
        >>> cfg.resume, cfg.load_from  # from the latest
        (True, None)
    """
    if not int(environ.get('TORCHELASTIC_MAX_RESTARTS', 0)) or (
            not os.path.isdir(cfg.work_dir)):
        return
    latest = find_latest_checkpoint(cfg.work_dir)
    if latest is None:
        return
    if int(environ.get('TORCHELASTIC_RESTART_COUNT', 0)):
        cfg.resume, cfg.load_from = True, None
        return
    resumed = cfg.get('resume') and (cfg.get('load_from') or latest)
    if not resumed or Path(resumed).resolve() != Path(latest).resolve():
        raise ValueError(
            f'{cfg.work_dir} holds checkpoints of an earlier run, the last is '
            f'{latest}, and a restart (--max-restarts) would go on from that: '
            'give --resume to go on from it now, or another --work-dir')
