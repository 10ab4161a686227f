"""What all tests share: one thread, fixed seeds, no display."""

import os
import random
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ['MPLBACKEND'] = 'Agg'

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The checkout that is tested."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every run, in whatever order tests run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
