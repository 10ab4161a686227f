"""What all tests share: one thread, fixed seeds, nothing left over."""

import os
import random

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ['MPLBACKEND'] = 'Agg'

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from mmengine.utils import ManagerMixin  # noqa: E402

from mmsnn.hardware.operations.estimate import (  # noqa: E402
    estimate_operations,
)
from mmsnn.trace import OpRecord, OpTrace  # noqa: E402

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


def spiking(module, kind='conv', op='convolution', **changes):
    fields = {
        'spiking': True,
        'dense_ops': 1000,
        'sops': 200,
        'in_spikes': 20,
        'in_elements': 100,
        'max_spikes': 4
    }
    fields.update(changes)
    return OpRecord(module, kind, op, **fields)


@pytest.fixture
def trace():
    """A stem, two blocks with an attention product, and an interpolation."""
    return OpTrace([
        OpRecord(
            'net.stem', 'conv', 'convolution', dense_ops=500, macs=500,
            note='the input is the image'),
        OpRecord(
            'net.neuron', 'neuron', 'neuron', neurons=100, max_spikes=4,
            spikes=[20, 10, 5, 5]),
        spiking('net.0.conv'),
        spiking('net.1.fc', 'linear', 'linear', in_spikes=130),
        spiking(
            'net.1.attn', 'matmul', 'bmm', accumulator_max=1000,
            note='additions of integers'),
        OpRecord('head.up', 'interpolate', 'bilinear', macs=64),
    ], images=2)


@pytest.fixture
def energy(trace):
    return estimate_operations(trace)
