"""tools/setup_env.sh --dry-run: the plan, with made-up GPUs and compilers."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS = dict(re.findall(
    r'^([a-z-]+)==([0-9.]+)$', (ROOT / 'constraints.txt').read_text(), re.M))
TORCH, MMCV = PINS['torch'], PINS['onedl-mmcv']
CPU_INDEX = 'https://download.pytorch.org/whl/cpu'
GPUS = ('NVIDIA H200, 9.0, 580.159.04\n'
        'NVIDIA A100-SXM4-80GB, 8.0, 580.159.04')
NO_DRIVER = "NVIDIA-SMI has failed because it couldn't communicate"


@pytest.fixture
def plan(tmp_path):
    """Run it in a checkout of its own; nothing may change there."""
    checkout = tmp_path / 'checkout'
    (checkout / 'tools').mkdir(parents=True)
    shutil.copy(ROOT / 'tools' / 'setup_env.sh', checkout / 'tools')
    for name in ('pyproject.toml', 'constraints.txt'):
        shutil.copy(ROOT / name, checkout)
    fakes = tmp_path / 'bin'
    fakes.mkdir()

    def fake(name, text, code=0):
        (fakes / name).write_text(
            f'#!/bin/sh\ncat <<"END"\n{text}\nEND\nexit {code}\n')
        (fakes / name).chmod(0o755)

    def files():
        return sorted(str(x) for x in tmp_path.rglob('*'))

    def run(*options, gpus=None, nvcc=None, known=(), code=0, **environ):
        fake('nvidia-smi', gpus or NO_DRIVER, 0 if gpus else 9)
        fake('nvcc', '' if nvcc is None else
             '\n'.join([
                 f'Cuda compilation tools, release {nvcc}, V{nvcc}.20',
                 *(f'compute_{x}' for x in known)]),
             1 if nvcc is None else 0)
        clean = {k: v for k, v in os.environ.items() if k not in (
            'FORCE_CUDA', 'CUDA_HOME', 'CUDA_PATH', 'TORCH_CUDA_ARCH_LIST',
            'CUDA_VISIBLE_DEVICES', 'PIP_INDEX_URL', 'PIP_EXTRA_INDEX_URL',
            'MMSNN_ENV_CACHE')}
        before = files()
        done = subprocess.run(
            ['bash', str(checkout / 'tools' / 'setup_env.sh'),
             *(options or ['--dry-run'])], text=True, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=dict(dict(
                clean, PATH=f'{fakes}:{os.environ["PATH"]}', MAX_JOBS='4',
                PYTHON=sys._base_executable,
                MMSNN_WHEELS=str(tmp_path / 'wheels')), **environ))
        assert files() == before
        assert done.returncode == code, done.stdout
        return done.stdout

    run.wheels, run.checkout = tmp_path / 'wheels', checkout
    return run


def line(text, name):
    found, = [x for x in text.splitlines() if x.split()[1] == name]
    return found.partition(name)[2].strip()


def test_without_a_gpu(plan):
    text = plan()
    assert line(text, 'environment') == f'{plan.checkout}/.venv (to be made)'
    assert line(text, 'torch') == f'{TORCH}+cu128 from PyPI'
    assert line(text, 'GPUs') == 'none is visible'
    assert line(text, 'mmcv') == ('compiling mmcv with 4 jobs: 10 to 15 min '
                                  'on 2 cores, once')
    assert 'nvcc' not in text


def test_on_gpus(plan):
    text = plan(gpus=GPUS, nvcc='12.6')
    assert line(text, 'GPUs') == GPUS.replace('\n', '; ')
    assert line(text, 'nvcc').endswith('bin/nvcc (CUDA 12.6)')
    assert line(text, 'mmcv').startswith(
        'compiling mmcv with CUDA 12.6 for 8.0;9.0 with 4 jobs: ')
    text = plan(gpus=GPUS, nvcc='12.6', TORCH_CUDA_ARCH_LIST='7.5+PTX')
    assert ' for 7.5+PTX with ' in text
    text = plan(nvcc='12.6', known=(75, 80, 90), FORCE_CUDA='1',
                TORCH_CUDA_ARCH_LIST='8.0 9.0+PTX')
    assert ' for 8.0 9.0+PTX with ' in text
    text = plan(gpus=GPUS.replace('9.0', '12.0'), nvcc='12.9',
                known=(80, 90, 120))
    assert ' for 12.0;8.0 with ' in text


@pytest.mark.parametrize('environ', [
    dict(FORCE_CUDA='0'), dict(CUDA_VISIBLE_DEVICES=''),
    dict(PIP_EXTRA_INDEX_URL=CPU_INDEX)])
def test_gpus_that_are_left_out(plan, environ):
    text = plan(gpus=GPUS, **environ)
    assert line(text, 'mmcv').startswith('compiling mmcv with 4 jobs')
    build = 'cpu' if 'PIP_EXTRA_INDEX_URL' in environ else 'cu128'
    assert line(text, 'torch').startswith(f'{TORCH}+{build} from PyPI')


@pytest.mark.parametrize('environ, words', [
    (dict(gpus=GPUS), ('need nvcc', 'cuda-toolkit-12-8', 'FORCE_CUDA=0')),
    (dict(gpus=GPUS, nvcc='11.8'), ('nvcc is of CUDA 11.8', '12.8')),
    (dict(gpus=GPUS, nvcc='12.6', CUDA_HOME='/nowhere'),
     ('/nowhere/bin/nvcc is none', )),
    (dict(nvcc='12.6', FORCE_CUDA='1'), ('TORCH_CUDA_ARCH_LIST', )),
    (dict(gpus=GPUS.replace('9.0', '12.0'), nvcc='12.6', known=(80, 90)),
     ('nvcc of CUDA 12.6', 'for compute capability 12.0: ', '12-8')),
    (dict(nvcc='12.6', FORCE_CUDA='1', TORCH_CUDA_ARCH_LIST='9.0',
          PIP_INDEX_URL=CPU_INDEX),
     (f'torch {TORCH}+cpu is built without CUDA', 'FORCE_CUDA=0')),
    (dict(FORCE_CUDA='yes'), ("FORCE_CUDA must be 0 or 1, but is 'yes'", )),
    (dict(MAX_JOBS='two'), ("MAX_JOBS must be a number from 1, but is 'two'",
                            )),
    (dict(MAX_JOBS='0'), ("but is '0'", ))])
def test_what_is_missing_is_one_sentence(plan, environ, words):
    error, = plan(code=1, **environ).splitlines()
    assert error.startswith('set-up: error: ')
    assert all(word in error for word in words)


def test_wheels_with_cuda_lie_apart(plan):
    python = f'cp3{sys.version_info.minor}'
    torch = f'torch{TORCH}+cu128-{python}-{platform.machine()}'
    for folder in ('cpu', 'cuda-8.0_9.0'):
        path = plan.wheels / f'{torch}-{folder}' / f'onedl_mmcv-{MMCV}-x.whl'
        path.parent.mkdir(parents=True)
        path.touch()
    assert line(plan(), 'mmcv') == str(
        plan.wheels / f'{torch}-cpu' / f'onedl_mmcv-{MMCV}-x.whl')
    assert line(plan(gpus=GPUS, nvcc='12.8'), 'mmcv') == str(
        plan.wheels / f'{torch}-cuda-8.0_9.0' / f'onedl_mmcv-{MMCV}-x.whl')
    assert 'compiling' in plan(gpus=GPUS.splitlines()[0], nvcc='12.8')


def test_keys_of_shared_environments(plan, tmp_path):
    # What an environment depends on, and nothing else where there is no GPU.
    about = (ROOT / 'pyproject.toml').read_text().partition('[tool')[0]
    pins = (ROOT / 'constraints.txt').read_text()
    version = subprocess.run(
        [sys._base_executable, '-c', 'import sys; print(sys.version, end="")'],
        capture_output=True, text=True, check=True).stdout
    tail = version + sysconfig.get_platform()

    def key(more):
        text = f'{about}{pins}1\nshared\n{more}{tail}'
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f'py3{sys.version_info.minor}-{digest}'

    cache = str(tmp_path / 'envs')
    text = plan(MMSNN_ENV_CACHE=cache)
    assert line(text, 'environment') == f'{cache}/{key("")} (to be made)'
    text = plan(MMSNN_ENV_CACHE=cache, gpus=GPUS, nvcc='12.8')
    assert line(text, 'environment') == (
        f'{cache}/{key("cuda-8.0_9.0" + chr(10))} (to be made)')


def test_other_options_are_refused(plan):
    error, = plan('--dryrun', code=1).splitlines()
    assert error.startswith("set-up: error: '--dryrun' is no option")
