import shutil

import pytest
import torch
from torch import nn

from mmsnn.neurons import SFANeuron, build_neuron, is_spiking
from mmsnn.registry import MODELS


def test_output_is_count_times_scale():
    u = torch.tensor([-3., 0.4, 0.5, 1.4, 2.6, 99.])
    counts = torch.tensor([0., 0., 1., 1., 3., 4.])
    assert torch.equal(SFANeuron(4)(u), counts / 4)
    assert torch.equal(SFANeuron(4, scale=1.)(u), counts)
    assert torch.equal(SFANeuron(4, scale=0.3)(u), counts * 0.3)


def test_threshold_is_the_potential_worth_one_spike():
    u = torch.tensor([0.2, 0.25, 0.74, 0.75, 2., 2.1], requires_grad=True)
    out = SFANeuron(4, scale=1., threshold=0.5)(u)
    assert out.tolist() == [0., 1., 1., 2., 4., 4.]
    out.sum().backward()
    # scale / threshold where 0 <= u <= D * threshold
    assert u.grad.tolist() == [2., 2., 2., 2., 2., 0.]


def test_train_and_eval_are_the_same():
    u = torch.linspace(-1, 6, 50)
    neuron = SFANeuron(4)
    assert torch.equal(neuron.train()(u), neuron.eval()(u))


def test_no_state_in_checkpoints():
    assert not SFANeuron().state_dict()


@pytest.mark.parametrize('inplace', [False, True])
def test_a_membrane_with_threshold_is_overwritten_only_inplace(inplace):
    u = torch.tensor([0.6, 1.7])
    with torch.no_grad():
        out = SFANeuron(4, scale=1., threshold=2., inplace=inplace)(u)
    assert out.tolist() == [0., 1.]
    assert (out.data_ptr() == u.data_ptr()) == inplace
    assert inplace or u.tolist() == pytest.approx([0.6, 1.7])
    # never where a gradient is needed
    u = torch.tensor([0.6, 1.7], requires_grad=True)
    out = SFANeuron(4, scale=1., threshold=2., inplace=inplace)(u)
    assert out.tolist() == [0., 1.]
    assert u.tolist() == pytest.approx([0.6, 1.7])


@pytest.mark.parametrize('threshold', [1., 0.5])
def test_a_threshold_keeps_no_membrane_either(threshold):
    u = torch.rand(4, 5, requires_grad=True)
    kept = []

    def pack(x):
        kept.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        SFANeuron(threshold=threshold)(u).sum().backward()
    assert sum(x.numel() * x.element_size() for x in kept) == u.numel()


def test_autocast_bfloat16():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3)
    neuron = SFANeuron(4)
    x = torch.rand(2, 3, 6, 6) * 4
    with torch.autocast('cpu', torch.bfloat16):
        membrane = conv(x)
        membrane.retain_grad()
        out = neuron(membrane)
        out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    expected = sum((membrane.double() >= d - 0.5) for d in range(1, 5)) / 4
    assert torch.equal(out.double(), expected.double())
    window = (membrane >= 0) & (membrane <= 4)
    assert torch.equal(membrane.grad.double(), window * 0.25)
    assert conv.weight.grad.dtype == torch.float32


@pytest.mark.skipif(
    not shutil.which('g++'), reason='torch.compile needs a C++ compiler')
@pytest.mark.filterwarnings('ignore')
def test_torch_compile_forward_and_backward():
    torch.manual_seed(0)
    neuron = SFANeuron(3, threshold=0.5)
    compiled = torch.compile(neuron, fullgraph=True)
    u = torch.cat([torch.randn(1000) * 2, torch.arange(-4, 12) / 8])
    a, b = u.clone().requires_grad_(), u.clone().requires_grad_()
    grad = torch.randn(u.shape)
    expected, actual = neuron(a), compiled(b)
    expected.backward(grad)
    actual.backward(grad)
    assert torch.equal(actual, expected)
    assert torch.equal(b.grad, a.grad)
    with torch.no_grad():
        assert torch.equal(compiled(u), expected)


@pytest.mark.parametrize('value', [0, -1, 2.0, 1.5, True, '4', None])
def test_bad_max_spikes(value):
    with pytest.raises(ValueError, match='neuron.max_spikes.*positive int'):
        MODELS.build(dict(type='mmsnn.SFANeuron', max_spikes=value))


@pytest.mark.parametrize('key', ['scale', 'threshold'])
@pytest.mark.parametrize('value', [0, -0.5, float('inf'), float('nan'), '1'])
def test_bad_scale_and_threshold(key, value):
    with pytest.raises(ValueError, match=f'neuron.{key}.*positive number'):
        MODELS.build(dict(type='mmsnn.SFANeuron', **{key: value}))


def test_build_neuron_merges_options_into_spiking_neurons_only():
    cfg = dict(type='mmsnn.SFANeuron', max_spikes=3)
    neuron = build_neuron(cfg, scale=1., threshold=2.)
    assert (neuron.max_spikes, neuron.scale, neuron.threshold) == (3, 1., 2.)
    assert cfg == dict(type='mmsnn.SFANeuron', max_spikes=3)
    assert is_spiking(neuron)

    twin = build_neuron(dict(type='ReLU'), scale=1., threshold=2.)
    assert isinstance(twin, nn.ReLU)
    assert not is_spiking(twin)
    assert isinstance(build_neuron(dict(type=nn.GELU), scale=1.), nn.GELU)


@pytest.mark.parametrize('cfg', [None, 'ReLU', dict(max_spikes=4)])
def test_neuron_must_be_a_config(cfg):
    with pytest.raises(TypeError, match='neuron must be a config dict'):
        build_neuron(cfg)
