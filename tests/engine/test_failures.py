"""A process of several that fails ends all, and its error is shown once."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from processes import free_port

from mmsnn.engine.failures import resume_after_restart

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize('how', ['raised', 'killed', 'all'])
def test_all_end_and_one_says_why(how):
    job = subprocess.Popen(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2',
         f'--master_port={free_port()}',
         str(Path(__file__).with_name('failing_process.py')), how],
        env=dict(os.environ, PYTHONPATH=str(ROOT)), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log, failed = '', None
    for line in job.stdout:
        log += line
        if failed is None and 'it fails now' in line:
            failed = time.monotonic()
    assert job.wait() != 0
    assert time.monotonic() - failed < 10
    assert log.count('no bread at home') == (how != 'killed'), log
    assert log.count('Signal 9 (SIGKILL)') == (how == 'killed'), log
    # That of the process, and torchrun's own behind it.
    assert log.count('Traceback') == 2 - (how == 'killed'), log


def run_of(folder, **changes):
    return Config(dict(dict(
        work_dir=str(folder), resume=False, load_from=None), **changes))


@pytest.fixture
def earlier(tmp_path):
    """A folder with two checkpoints."""
    for number in (2, 4):
        torch.save(dict(meta=dict(iter=number), state_dict={}),
                   tmp_path / f'iter_{number}.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    return tmp_path


def torchrun(count, most=1):
    return dict(TORCHELASTIC_RESTART_COUNT=str(count),
                TORCHELASTIC_MAX_RESTARTS=str(most))


@pytest.mark.parametrize('changes', [
    dict(), dict(load_from='weights.pth'), dict(resume=True)])
def test_a_restart_goes_on_from_the_last_checkpoint(earlier, changes):
    cfg = run_of(earlier, **changes)
    resume_after_restart(cfg, torchrun(1))
    assert (cfg.resume, cfg.load_from) == (True, None)


def test_what_can_not_be_told_from_the_own_checkpoints(earlier):
    for cfg in (run_of(earlier), run_of(
            earlier, resume=True, load_from=str(earlier / 'iter_2.pth'))):
        with pytest.raises(ValueError, match='iter_4.pth.*--resume'):
            resume_after_restart(cfg, torchrun(0))
        before = cfg.to_dict()
        resume_after_restart(cfg, torchrun(0, most=0))  # no restart comes
        assert cfg.to_dict() == before
    for load_from in (None, str(earlier / 'iter_4.pth')):
        cfg = run_of(earlier, resume=True, load_from=load_from)
        resume_after_restart(cfg, torchrun(0))
        assert (cfg.resume, cfg.load_from) == (True, load_from)


def test_nothing_was_saved(tmp_path):
    for folder in (tmp_path, tmp_path / 'none'):
        cfg = run_of(folder, load_from='weights.pth')
        resume_after_restart(cfg, torchrun(1))
        assert (cfg.resume, cfg.load_from) == (False, 'weights.pth')


@pytest.mark.parametrize('name', ['dist_train', 'dist_test', 'slurm_train',
                                  'slurm_test'])
def test_scripts_take_the_python_of_the_checkout(tmp_path, name):
    """The script in a copy of the folder, with a .venv or without."""
    tools = tmp_path / 'tools'
    tools.mkdir()
    for file in (f'{name}.sh', 'environment.sh'):
        (tools / file).write_text((ROOT / 'tools' / file).read_text())
    found = tmp_path / 'path'
    for place in (found, tmp_path / '.venv' / 'bin', tmp_path / 'mine'):
        place.mkdir(parents=True)
        for tool in ('python', 'srun'):
            text = f'#!/bin/sh\necho {place.name} "$@"\n'
            if tool == 'srun':  # runs what begins with a path to a Python
                text = ('#!/bin/sh\nwhile [ "${1##*/}" != python ]; '
                        'do shift; done\nexec "$@"\n')
            (place / tool).write_text(text)
            (place / tool).chmod(0o755)

    def run(**environ):
        return subprocess.run(
            ['bash', str(tools / f'{name}.sh'), *'a 1 2 3 4 5'.split()],
            env=dict(PATH=f'{found}:{os.environ["PATH"]}', **environ),
            text=True, capture_output=True, check=True).stdout.split()[0]

    assert run() == 'bin'
    assert run(PYTHON=str(tmp_path / 'mine' / 'python')) == 'mine'
    (tmp_path / '.venv' / 'bin' / 'python').unlink()
    assert run() == 'path'
