"""The neurons' Triton kernels, on CPU tensors, by Triton's interpreter."""

import importlib
import sys

import pytest
import torch

from mmsnn.neurons import gpu, native
from mmsnn.neurons.gpu import device

_KERNELS = 'mmsnn.neurons.gpu.kernels'


def _forget_kernels():
    return {
        name: sys.modules.pop(name)
        for name in list(sys.modules) if name.startswith(_KERNELS)
    }


@pytest.fixture(scope='session')
def interpreted():
    """The kernels' modules once more, as the interpreter runs them."""
    pytest.importorskip('triton')
    before = _forget_kernels()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TRITON_INTERPRET', '1')
        kernels = importlib.import_module(_KERNELS)
    _forget_kernels()
    sys.modules.update(before)
    return kernels


@pytest.fixture
def on_cpu(interpreted, monkeypatch):
    """Kernels take CPU tensors, C kernels take none."""

    def usable(tensor):
        return (tensor.is_cpu and type(tensor) in native.PLAIN
                and tensor.dtype in device.TYPES and not native.is_followed())

    monkeypatch.setattr(native, 'load', lambda: None)
    monkeypatch.setattr(device, 'load', lambda: interpreted)
    for name in ('sfa', 'temporal', 'counting'):
        module = importlib.import_module(f'mmsnn.neurons.gpu.{name}')
        monkeypatch.setattr(module, 'load', lambda: interpreted)
    monkeypatch.setattr(gpu, 'usable', usable)
    return usable


@pytest.fixture
def plain(on_cpu, monkeypatch):
    """Runs a function without kernels."""

    def run(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(gpu, 'usable', lambda tensor: False)
            return function(*arguments)

    return run


@pytest.fixture(autouse=True)
def quiet():
    """The interpreter computes with NumPy, which warns of what is not finite,
    and here numbers that are not finite are wanted."""
    import numpy
    with numpy.errstate(all='ignore'), torch.no_grad():
        yield
