"""Where the kernels run, and what is said where they do not."""

import subprocess
import sys

import pytest
import torch

from mmsnn.neurons import SFANeuron, gpu
from mmsnn.neurons.gpu import device


@pytest.fixture
def said(monkeypatch):
    """Lines of the log."""
    lines = []
    monkeypatch.setattr(device, 'print_log',
                        lambda line, **keys: lines.append(line))
    device.works.cache_clear()
    yield lines
    device.works.cache_clear()


class FarTensor:
    """Stands for a tensor on another device."""

    is_cpu = is_meta = False
    dtype = torch.float32
    __class__ = torch.Tensor

    def __init__(self, kind):
        self.device = torch.device(kind, 0)


@pytest.fixture
def capturing(monkeypatch):
    """Whether a CUDA graph is captured: a list, the last item counts."""
    states = [False]
    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing',
                        lambda: states[-1])
    return states


@pytest.fixture
def usable(monkeypatch):
    monkeypatch.setattr(device.native, 'is_plain', lambda tensor: True)
    return lambda kind: device.usable(FarTensor(kind))


@pytest.mark.parametrize('kind', ['xpu', 'mps'])
def test_other_devices_are_said_once(said, usable, kind):
    assert not usable(kind) and not usable(kind)
    line, = said
    assert line == (
        f'the neurons have no kernels on {kind}, plain PyTorch is used, which '
        'is slower: OSError: they are for NVIDIA GPUs')


def test_a_gpu_without_triton(said, usable, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda i: (9, 0))
    monkeypatch.setitem(sys.modules, 'triton', None)
    for name in list(sys.modules):
        if name.startswith('mmsnn.neurons.gpu.kernels'):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(gpu, 'kernels', raising=False)
    device.load.cache_clear()
    assert not usable('cuda') and not usable('cuda')
    line, = said
    assert 'ModuleNotFoundError' in line and 'triton' in line


def test_an_old_gpu(said, usable, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda i: (7, 5))
    assert not usable('cuda')
    assert said[0].endswith('OSError: they need compute capability 8.0')


def test_not_tried_while_a_graph_is_captured(said, usable, interpreter,
                                             capturing, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda i: (9, 0))
    monkeypatch.setattr(gpu.sfa, 'load', lambda: interpreter)
    far = FarTensor('cuda')
    monkeypatch.setattr(torch, 'device', lambda kind, i: 'cpu')
    capturing.append(True)
    with pytest.raises(RuntimeError, match='run the model once before'):
        device.usable(far)
    capturing.append(False)
    assert device.usable(far)
    capturing.append(True)
    assert device.usable(far) and not said


def test_a_kernel_that_counts_wrong(said, usable, interpreter, capturing,
                                    monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda i: (9, 0))
    monkeypatch.setattr(gpu.sfa, 'load', lambda: interpreter)
    far = FarTensor('cuda')
    monkeypatch.setattr(torch, 'device', lambda kind, i: 'cpu')
    assert device.usable(far) and not said
    device.works.cache_clear()
    monkeypatch.setattr(gpu.sfa, 'launch', lambda *a, **k: None)
    assert not device.usable(far)
    assert 'give the counts' in said[0]


def test_they_can_be_switched_off(said, usable, monkeypatch):
    monkeypatch.setenv('MMSNN_NATIVE', '0')
    assert not usable('cuda') and not said


def test_cpu_and_meta_tensors_say_nothing(said):
    assert not gpu.usable(torch.zeros(2))
    assert not gpu.usable(torch.zeros(2, device='meta'))
    assert not said


def test_meta_gives_meta():
    for neuron in (SFANeuron(threshold=0.7), SFANeuron(timesteps=2)):
        for wants in (True, False):
            u = torch.zeros(4, 3, device='meta', requires_grad=wants)
            out = neuron(u)
            assert out.is_meta and out.shape == u.shape


def test_import_alone_imports_no_triton():
    code = 'import sys, mmsnn.neurons.gpu; print("triton" in sys.modules)'
    found = subprocess.run([sys.executable, '-c', code], text=True,
                           capture_output=True, check=True).stdout
    assert found.split()[-1] == 'False'
