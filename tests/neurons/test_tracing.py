"""Nothing that follows operations loses a neuron."""

import io
import warnings

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmsnn.layers import SpikeConv2d
from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron, native

NEURONS = [
    SFANeuron(max_spikes=4),
    SFANeuron(max_spikes=3, threshold=0.7, inplace=True),
    SFANeuron(max_spikes=4, timesteps=2, decay=0.5),
    LIFNeuron(timesteps=2),
    LIFNeuron(timesteps=2, surrogate='arctan', reset='soft'),
    SpikingNeuron(max_spikes=2, decay=0.5, learn_decay=True, timesteps=2),
]
IDS = ['sfa', 'threshold', 'sfa-time', 'lif', 'arctan', 'learnt']

pytestmark = pytest.mark.filterwarnings('ignore')


def values(seed, rows=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, 3, 5, generator=generator) * 6 - 1


def network(neuron):
    torch.manual_seed(0)
    cfg = dict(type='mmsnn.SFANeuron', max_spikes=4)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        SpikeConv2d(8, 8, 3, padding=1, neuron=cfg))
    net[0].weight.data *= 6
    net[1].neuron = neuron
    return net.eval()


@pytest.mark.parametrize('neuron', NEURONS, ids=IDS)
@pytest.mark.parametrize('grad', [True, False])
def test_jit_trace(neuron, grad):
    first, other = values(0), values(1, rows=6)
    first.requires_grad_(grad)
    with torch.set_grad_enabled(grad):
        traced = torch.jit.trace(neuron, first.clone())
    assert neuron(other.clone()).std() > 0.1
    assert torch.equal(traced(other.clone()), neuron(other.clone()))
    buffer = io.BytesIO()  # no Python function in it
    torch.jit.save(traced, buffer)
    buffer.seek(0)
    with torch.no_grad():
        assert torch.equal(
            torch.jit.load(buffer)(other.clone()), neuron(other.clone()))


@pytest.mark.parametrize('neuron', NEURONS[:4], ids=IDS[:4])
def test_jit_trace_of_a_network_whose_weights_want_gradients(neuron):
    net = network(neuron)
    traced = torch.jit.trace(net, torch.rand(2, 3, 8, 8))
    x = torch.rand(4, 3, 8, 8) * 3
    torch.testing.assert_close(traced(x), net(x))


def test_a_traced_neuron_has_the_gradient():
    u = torch.tensor([-0.1, 0., 1.6, 4., 4.1])
    traced = torch.jit.trace(SFANeuron(max_spikes=4), u.requires_grad_())
    traced(u).sum().backward()
    assert u.grad.tolist() == [0, 0.25, 0.25, 0.25, 0]


@pytest.mark.parametrize('neuron', NEURONS, ids=IDS)
def test_make_fx(neuron):
    with torch.no_grad():
        graph = make_fx(lambda x: neuron(x))(values(0))
        assert torch.equal(graph(values(1)), neuron(values(1)))


@pytest.mark.parametrize('mode', ['fake', 'symbolic'])
def test_make_fx_without_values(mode):
    neuron = SFANeuron(max_spikes=4)
    with torch.no_grad():
        graph = make_fx(lambda x: neuron(x), tracing_mode=mode)(values(0))
        assert torch.equal(graph(values(1)), neuron(values(1)))


@pytest.mark.parametrize('neuron', NEURONS, ids=IDS)
def test_export(neuron):
    with torch.no_grad():
        exported = torch.export.export(neuron, (values(0), ))
        assert torch.equal(exported.module()(values(1)), neuron(values(1)))


@pytest.mark.parametrize('neuron', NEURONS[:4], ids=IDS[:4])
def test_onnx(neuron, tmp_path):
    pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    net, path = network(neuron), str(tmp_path / 'net.onnx')
    torch.onnx.export(net, (torch.rand(2, 3, 8, 8), ), path, dynamo=False,
                      input_names=['x'])
    session = runtime.InferenceSession(
        path, providers=['CPUExecutionProvider'])
    x = torch.rand(2, 3, 8, 8) * 3
    found, = session.run(None, dict(x=x.numpy()))
    torch.testing.assert_close(torch.tensor(found), net(x), rtol=1e-5,
                               atol=1e-5)


@pytest.mark.parametrize('neuron', NEURONS[:2], ids=IDS[:2])
def test_vmap(neuron):
    x = values(0)
    assert torch.equal(torch.func.vmap(neuron)(x), neuron(x.clone()))


@pytest.mark.parametrize('neuron', NEURONS, ids=IDS)
def test_gradients_of_functional_transforms(neuron):
    x, weight = values(0), values(2)

    def loss(u):
        return (neuron(u) * weight).sum()

    leaf = x.clone().requires_grad_()
    expected, = torch.autograd.grad(loss(leaf * 1), leaf)
    assert expected.any()
    torch.testing.assert_close(torch.func.grad(loss)(x), expected)
    direction = values(3)
    _, forward = torch.func.jvp(loss, (x, ), (direction, ))
    torch.testing.assert_close(forward, (expected * direction).sum())


def test_forward_mode():
    neuron, x = SFANeuron(max_spikes=4), torch.tensor([-1., 1.6, 5.])
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones(3))
        value, tangent = torch.autograd.forward_ad.unpack_dual(neuron(dual))
    assert value.tolist() == [0, 0.5, 1]
    assert tangent.tolist() == [0, 0.25, 0]


class Names(TorchDispatchMode):

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_modes_see_the_operations(compiler):
    neuron, x = SFANeuron(max_spikes=4), values(0)
    with Names() as seen:
        out = neuron(x)
    assert 'floor_' in seen.found
    assert torch.equal(out, neuron(x))
    assert native.usable(x)
    with FlopCounterMode(display=False):
        assert not native.usable(x)
    with torch.device('cpu'):  # follows nothing
        assert native.usable(x)
    assert native.usable(x)


def test_modes_that_need_no_operations_keep_the_kernels(compiler):
    with Names() as seen:
        seen.allows_kernels = True
        SFANeuron(max_spikes=4)(values(0))
    assert 'floor_' not in seen.found


def test_nothing_is_warned_of():
    neuron = SFANeuron(max_spikes=4, timesteps=2)
    with warnings.catch_warnings():
        warnings.simplefilter('error', torch.jit.TracerWarning)
        torch.jit.trace(neuron, values(0))
