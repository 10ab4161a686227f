"""Training and testing in several processes on CPU."""

import os
import subprocess
from collections.abc import Mapping
from datetime import timedelta

import torch.distributed as torch_dist
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmsnn.registry import RUNNERS

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


@RUNNERS.register_module()
class GlooRunner(Runner):
    """A Runner whose processes talk over gloo where there is no accelerator.

    mmengine's own Runner chooses a CUDA device for every process, hands it
    to ``DistributedDataParallel`` and keeps synchronised norms, all of which
    fail on CPU. With an accelerator, or without a launcher, this is the
    ordinary Runner. :func:`mmsnn.engine.cli.build_runner` chooses it.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Initialise gloo before the environment is set up.

        Args:
            env_cfg (dict): The config's ``env_cfg``; of ``dist_cfg`` only
                ``timeout`` (s) is used.
        """
        if self._on_cpu() and not is_distributed():
            os.environ.update(rendezvous(self.launcher, os.environ))
            timeout = env_cfg.get('dist_cfg', {}).get('timeout', 1800)
            torch_dist.init_process_group(
                'gloo', timeout=timedelta(seconds=timeout))
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None,
                   model: nn.Module) -> nn.Module:
        """Wrap a model for data-parallel training.

        On CPU, synchronised norms become ordinary ones.

        Args:
            model_wrapper_cfg (dict, optional): The config's
                ``model_wrapper_cfg``.
            model (nn.Module): The model.

        Returns:
            nn.Module: The wrapped model.
        """
        if not self._on_cpu() or is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        cfg = dict(
            type='MMDistributedDataParallel',
            broadcast_buffers=False,
            find_unused_parameters=self.cfg.get('find_unused_parameters',
                                                False))
        cfg.update(model_wrapper_cfg or {})
        default_args = dict(module=revert_sync_batchnorm(model))
        wrapper = MODEL_WRAPPERS.get(cfg['type'])
        if wrapper and issubclass(wrapper, DistributedDataParallel):
            default_args['device_ids'] = None
        return MODEL_WRAPPERS.build(cfg, default_args=default_args)

    def _on_cpu(self) -> bool:
        """Tell whether there are several processes and no accelerator."""
        return self.distributed and get_device() == 'cpu'
