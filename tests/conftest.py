"""What all tests share: one thread, fixed seeds, nothing left over."""

import os
import random

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ['MPLBACKEND'] = 'Agg'

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from mmengine.utils import ManagerMixin  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every run, in whatever order tests run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_globals():
    """No default scope, logger or visualizer of the test before.

    mmengine keeps them by experiment name, which is the time in seconds: two
    Runners in one second would share them.
    """
    yield
    kinds = [ManagerMixin]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        kind._instance_dict.clear()
