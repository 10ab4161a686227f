"""The neurons' Triton kernels, on CPU tensors, by Triton's interpreter."""

import importlib
import sys

import numpy as np
import pytest
import torch

from mmsnn.neurons import gpu, native
from mmsnn.neurons.gpu import counting, device, sfa, temporal

_KERNELS = 'mmsnn.neurons.gpu.kernels'


def _taken_kernels():
    vars(gpu).pop('kernels', None)  # as an import leaves it there
    return {
        name: sys.modules.pop(name)
        for name in list(sys.modules) if name.startswith(_KERNELS)
    }


@pytest.fixture(scope='session')
def interpreted():
    """The kernels' modules once more, made for the interpreter."""
    pytest.importorskip('triton')
    before = _taken_kernels()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TRITON_INTERPRET', '1')
        kernels = importlib.import_module(_KERNELS)
    _taken_kernels()
    sys.modules.update(before)
    if before:
        gpu.kernels = before[_KERNELS]
    return kernels


@pytest.fixture
def interpreter(interpreted, monkeypatch):
    """Triton's interpreter. It changes Triton's own functions, which are put
    back; and it cuts bfloat16 off where a GPU rounds, and knows no subnormal
    ones, which PyTorch does here."""
    import triton.language as tl
    from triton.runtime import interpreter
    convert = interpreter._convert_float

    def converted(data, source, target, rounding):
        if (source, target) == (tl.bfloat16, tl.float32):
            return data.astype(np.uint32) << 16
        if (source, target) == (tl.float32, tl.bfloat16):
            data = torch.from_numpy(np.ascontiguousarray(data))
            return data.bfloat16().view(torch.int16).numpy()
        return convert(data, source, target, rounding)

    monkeypatch.setattr(interpreter, '_convert_float', converted)
    places = [tl, tl.core, tl.math, tl.core.tensor, tl.core.dtype,
              tl.core.tensor_descriptor_base]
    before = [dict(vars(place)) for place in places]
    with np.errstate(all='ignore'):  # what is not finite is wanted here
        yield interpreted
    for place, names in zip(places, before):
        for name, value in list(vars(place).items()):
            if name not in names:
                delattr(place, name)
            elif value is not names[name]:
                setattr(place, name, names[name])


@pytest.fixture
def on_cpu(interpreter, monkeypatch):
    """CPU tensors are taken by the GPU's kernels, none by the C kernels."""
    monkeypatch.setattr(native, 'load', lambda: None)
    for module in (counting, sfa, temporal):
        monkeypatch.setattr(module, 'load', lambda: interpreter)
    for module in (gpu, sfa):
        monkeypatch.setattr(module, 'usable', device.readable)


@pytest.fixture
def plainly(on_cpu, monkeypatch):
    """Runs a function without kernels."""

    def run(function, *arguments, **keys):
        with monkeypatch.context() as patch:
            for module in (gpu, sfa):
                patch.setattr(module, 'usable', lambda tensor: False)
            return function(*arguments, **keys)

    return run
