"""Several processes on CPU, which talk over gloo."""

import os
import subprocess
from collections.abc import Mapping
from datetime import timedelta

import torch.distributed as torch_dist
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.model import convert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from mmengine.utils.dl_utils.parrots_wrapper import (
    SyncBatchNorm as WrappedSyncBatchNorm,
)
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmsnn.registry import MODELS

try:
    from mmcv.ops import SyncBatchNorm as MMSyncBatchNorm
except ModuleNotFoundError:  # mmcv without its compiled operators
    MMSyncBatchNorm = None

# Where each launcher puts a process's rank, world size and local rank.
_LAUNCHERS = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
         'OMPI_COMM_WORLD_LOCAL_RANK'))


def rendezvous(launcher: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Translate a launcher's environment into that of torch.distributed.

    Args:
        launcher (str): 'pytorch', 'slurm' or 'mpi'.
        environ (Mapping[str, str]): The environment of the process.

    Returns:
        dict[str, str]: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
        MASTER_PORT. The port defaults to 29500, the address under slurm to
        the first node of the job.

    Raises:
        ValueError: ``launcher`` is unknown.
        KeyError: A variable that the launcher should set is missing.

    Example:
        >>> found = rendezvous('slurm', dict(
        ...     SLURM_PROCID='3', SLURM_NTASKS='4', SLURM_LOCALID='1',
        ...     MASTER_ADDR='node0'))
        >>> found['RANK'], found['WORLD_SIZE'], found['MASTER_PORT']
        ('3', '4', '29500')
    """
    if launcher not in _LAUNCHERS:
        raise ValueError(f'launcher must be one of {", ".join(_LAUNCHERS)}, '
                         f'got {launcher!r}')
    names = _LAUNCHERS[launcher]
    missing = [name for name in names if name not in environ]
    if 'MASTER_ADDR' not in environ and 'SLURM_NODELIST' not in environ:
        missing.append('MASTER_ADDR')
    if missing:
        raise KeyError(f'launcher {launcher!r} needs the environment '
                       f'variables {", ".join(missing)}; start the tool '
                       'through tools/dist_train.sh or its siblings')
    address = environ.get('MASTER_ADDR') or subprocess.check_output(
        ['scontrol', 'show', 'hostname', environ['SLURM_NODELIST']],
        text=True).split()[0]
    values = [environ[name] for name in names]
    return dict(
        zip(_LAUNCHERS['pytorch'], values), MASTER_ADDR=address,
        MASTER_PORT=environ.get('MASTER_PORT', '29500'))


def needs_gloo(launcher: str) -> bool:
    """Whether a run has several processes and no accelerator.

    Args:
        launcher (str): The run's launcher; ``'none'`` for one process.
    """
    return launcher != 'none' and get_device() == 'cpu'


def connect(launcher: str, dist_cfg: Mapping | None = None) -> None:
    """Let the processes of a run find each other, if they have not.

    Args:
        launcher (str): As of :func:`rendezvous`.
        dist_cfg (Mapping, optional): The config's ``env_cfg.dist_cfg``, of
            which only ``timeout`` (s) is used. Defaults to half an hour.
    """
    if not is_distributed():
        os.environ.update(rendezvous(launcher, os.environ))
        timeout = (dist_cfg or {}).get('timeout', 1800)
        torch_dist.init_process_group(
            'gloo', timeout=timedelta(seconds=timeout))


def wrapped(model: nn.Module, model_wrapper: Mapping | None) -> nn.Module:
    """Wrap a model for data-parallel training on CPU.

    Args:
        model (nn.Module): The model.
        model_wrapper (Mapping, optional): The config of the wrapper. Defaults
            to ``MMDistributedDataParallel`` that leaves buffers to each
            process.

    Returns:
        nn.Module: The wrapped model.
    """
    cfg = dict(
        dict(type='MMDistributedDataParallel', broadcast_buffers=False),
        **model_wrapper or {})
    default_args = dict(module=model)
    wrapper = MODEL_WRAPPERS.get(cfg['type'])
    if wrapper and issubclass(wrapper, DistributedDataParallel):
        default_args['device_ids'] = None
    return MODEL_WRAPPERS.build(cfg, default_args=default_args)


def synchronised(model: nn.Module, sync_bn: str | None) -> nn.Module:
    """Let synchronised norms be ``mmsnn.SyncBN``, which runs on CPU.

    Args:
        model (nn.Module): Its norms of PyTorch (``SyncBN`` of upstream's
            configs) and of mmcv (``MMSyncBN``) are changed in place.
        sync_bn (str, optional): The config's ``sync_bn``: ``'torch'`` or
            ``'mmcv'`` synchronise all batch norms. Defaults to None.

    Returns:
        nn.Module: The model.

    Raises:
        ValueError: ``sync_bn`` is something else.

    Example:
        >>> import torch
        >>> model = synchronised(nn.Sequential(nn.SyncBatchNorm(2)), None)
        >>> type(model[0]), model(torch.rand(2, 2, 4, 4)).shape
        (<class 'mmsnn.layers.sync_norm.SyncBatchNorm'>, torch.Size([2, 2, \
4, 4]))
    """
    if sync_bn not in (None, 'torch', 'mmcv'):
        raise ValueError("sync_bn of the config must be 'torch' or 'mmcv', "
                         f'but is {sync_bn!r}')
    if sync_bn is not None:
        model = convert_sync_batchnorm(model, 'torch')
    kind = MODELS.get('mmsnn.SyncBN')
    for norm in model.modules():
        if type(norm) is MMSyncBatchNorm:
            norm.process_group = norm.group
        if type(norm) in (nn.SyncBatchNorm, WrappedSyncBatchNorm,
                          MMSyncBatchNorm):
            norm.__class__ = kind
    return model
