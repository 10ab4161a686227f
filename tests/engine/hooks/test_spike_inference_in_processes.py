"""Evaluation in spike-train form by two processes, against one."""

import json
from pathlib import Path

import pytest
import torch
from processes import run_in_processes

from mmsnn.engine.cli import build_runner

FILES = ('trace.json', 'energy.json', 'energy.csv', 'metrics.json')


def report(config, tmp_path, launcher, **changes):
    """Test, and return the files of the report."""
    config.work_dir = str(tmp_path / launcher)
    config.launcher = launcher
    config.env_cfg = dict(dist_cfg=dict(backend='gloo'))
    for key, value in changes.items():
        config[key] = value
    build_runner(config).test()
    folder = Path(config.work_dir) / 'spike_inference' / 'test'
    if torch.distributed.is_initialized() and torch.distributed.get_rank():
        return None
    return {name: (folder / name).read_text() for name in FILES}


@pytest.mark.parametrize('batch_size, images, proof_batches', [
    (1, 11, 2),  # spread of single images
    (3, 11, 3),  # the last batch is not full, the other process proves too
    (4, 3, 1)])  # a process without a batch
def test_reports_are_those_of_one_process(config, tmp_path, batch_size, images,
                                          proof_batches):
    loader = config.test_dataloader
    loader.batch_size = batch_size
    loader.dataset.indices = images
    config.custom_hooks[0].update(
        form='counts', proof_batches=proof_batches, pictures=6)
    found, _ = run_in_processes(
        tmp_path, report, config, tmp_path, 'pytorch')
    expected = report(config, tmp_path, 'none')
    assert json.loads(expected['trace.json'])['images'] == images
    for name in FILES:
        assert found[name] == expected[name], name


def test_sharded_weights_are_gathered(config, tmp_path):
    config.custom_hooks[0].update(form='counts', pictures=0)
    config.test_dataloader.dataset.indices = 3
    config.launcher, config.load_from = 'none', str(tmp_path / 'weights.pth')
    weights = build_runner(config).model.state_dict()
    torch.save(dict(state_dict=weights), config.load_from)
    found, _ = run_in_processes(
        tmp_path, report, config, tmp_path, 'pytorch',
        runner_type='FlexibleRunner', strategy=dict(type='FSDPStrategy'))
    expected = report(config, tmp_path, 'none')
    for name in FILES:
        assert found[name] == expected[name], name
