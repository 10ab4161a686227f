"""Several processes on CPU: the gloo runner."""

import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as torch_dist
from mmcv.cnn import build_norm_layer
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmsnn.engine.cli import build_runner
from mmsnn.engine.gloo import rendezvous, synchronised
from mmsnn.engine.runner import GlooRunner, ResumableRunner
from mmsnn.layers import SyncBatchNorm

TORCHRUN = dict(
    RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1',
    MASTER_PORT='0')


@MODELS.register_module()
class GlooTestModel(BaseModel):
    """A linear layer behind a synchronised norm."""

    def __init__(self):
        super().__init__()
        self.norm = nn.SyncBatchNorm(2)
        self.linear = nn.Linear(2, 1)
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, inputs, mode='tensor'):
        out = self.linear(self.norm(inputs))
        return dict(loss=out.square().mean()) if mode == 'loss' else out


def config(tmp_path, **kwargs):
    return Config(
        dict(
            default_scope='mmengine',
            model=dict(type='GlooTestModel'),
            work_dir=str(tmp_path),
            env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=30)),
            **kwargs))


@pytest.fixture
def process_group(monkeypatch):
    for key, value in TORCHRUN.items():
        monkeypatch.setenv(key, value)
    yield
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()


@pytest.mark.parametrize('launcher, environ, expected', [
    ('pytorch', TORCHRUN, TORCHRUN),
    ('slurm',
     dict(SLURM_PROCID='5', SLURM_NTASKS='8', SLURM_LOCALID='1',
          MASTER_ADDR='n0', RANK='99'),
     dict(RANK='5', WORLD_SIZE='8', LOCAL_RANK='1', MASTER_ADDR='n0',
          MASTER_PORT='29500')),
    ('mpi',
     dict(OMPI_COMM_WORLD_RANK='2', OMPI_COMM_WORLD_SIZE='4',
          OMPI_COMM_WORLD_LOCAL_RANK='0', MASTER_ADDR='n1',
          MASTER_PORT='1234'),
     dict(RANK='2', WORLD_SIZE='4', LOCAL_RANK='0', MASTER_ADDR='n1',
          MASTER_PORT='1234')),
])
def test_rendezvous(launcher, environ, expected):
    assert rendezvous(launcher, environ) == expected


def test_rendezvous_asks_slurm_for_the_first_node(tmp_path, monkeypatch):
    # A stand-in for slurm's own tool, which prints a name a line.
    tool = tmp_path / 'scontrol'
    tool.write_text('#!/bin/sh\n[ "$*" = "show hostname n[3-4]" ] '
                    '&& echo n3 && echo n4\n')
    tool.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    found = rendezvous(
        'slurm',
        dict(SLURM_PROCID='0', SLURM_NTASKS='2', SLURM_LOCALID='0',
             SLURM_NODELIST='n[3-4]'))
    assert found['MASTER_ADDR'] == 'n3'


def test_rendezvous_names_what_is_missing():
    with pytest.raises(KeyError, match='WORLD_SIZE, LOCAL_RANK, MASTER_ADDR'):
        rendezvous('pytorch', dict(RANK='0'))
    with pytest.raises(ValueError, match='pytorch, slurm, mpi'):
        rendezvous('torchrun', TORCHRUN)


def test_gloo_runner_wraps_for_cpu(tmp_path, process_group):
    if torch.cuda.is_available():
        pytest.skip('for machines without an accelerator')
    cfg = config(
        tmp_path, launcher='pytorch', find_unused_parameters=True)
    runner = build_runner(cfg)
    assert type(runner) is GlooRunner
    assert torch_dist.get_backend() == 'gloo'
    assert isinstance(runner.model, DistributedDataParallel)
    assert runner.model.device_ids is None
    # The synchronised norm has become ours, so this runs.
    assert type(runner.model.module.norm) is SyncBatchNorm
    loss = runner.model(torch.ones(4, 2), mode='loss')['loss']
    loss.backward()
    assert runner.model.module.linear.bias.grad is not None


def test_wrapper_config_is_honoured(tmp_path, process_group):
    if torch.cuda.is_available():
        pytest.skip('for machines without an accelerator')
    cfg = config(
        tmp_path, launcher='pytorch',
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', find_unused_parameters=True))
    runner = build_runner(cfg)
    assert runner.model.find_unused_parameters


def test_one_process_gets_a_runner_without_gloo(tmp_path):
    runner = build_runner(config(tmp_path, launcher='none'))
    assert type(runner) is ResumableRunner
    assert isinstance(runner.model, GlooTestModel)


def test_a_runner_type_of_the_config_is_kept(tmp_path, process_group):
    cfg = config(tmp_path, launcher='none', runner_type='mmsnn.GlooRunner')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        runner = build_runner(cfg)
    assert type(runner) is GlooRunner
    # Without a launcher it is the ordinary runner.
    assert isinstance(runner.model, GlooTestModel)


def test_norms_of_upstream_configs_become_ours():
    norm = build_norm_layer(dict(type='SyncBN'), 4)[1]
    model = synchronised(nn.Sequential(norm), None)
    # DistributedDataParallel refuses PyTorch's and what derives from it.
    assert type(model[0]) is SyncBatchNorm


def test_mmcv_without_compiled_operators():
    code = ("import sys; sys.modules['mmcv._ext'] = None\n"
            'import mmsnn.engine.cli\n'
            'from mmsnn.engine.gloo import synchronised\n'
            'from torch.nn import Sequential, SyncBatchNorm\n'
            'norm, = synchronised(Sequential(SyncBatchNorm(2)), None)\n'
            'print(type(norm).__module__)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == SyncBatchNorm.__module__
