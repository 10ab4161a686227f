"""Which weights are known before the run, and which are the same."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import estimate, network_from_trace
from mmsnn.hardware.operations.memory import held_bytes
from mmsnn.neurons import SFANeuron
from mmsnn.trace import SYNAPSES

FORMS = ['spikes', 'counts']


class Model(nn.Module):
    """``run(model, spikes)``, with the modules that it needs."""

    def __init__(self, run, **parts):
        super().__init__()
        self.neuron, self.run = SFANeuron(2), run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x, *more):
        return self.run(self, self.neuron(2 * x), *more)


def recorded(model, *x, form='counts'):
    with to_spike_train(model.eval(), form) as spiking:
        spiking(*x)
    return spiking.trace


def synapses(trace):
    return [r for r in trace if r.kind in SYNAPSES and r.spiking]


def parameter(*shape):
    return nn.Parameter(torch.randn(shape))


# What multiplies the spikes is computed from the second input.
DYNAMIC = {
    'linear': lambda m, s, y: F.linear(s, m.fc(y)),
    '@': lambda m, s, y: s @ m.fc(y).t(),
    'weights in front': lambda m, s, y: m.fc(y) @ s.t(),
    'bmm': lambda m, s, y: torch.bmm(s[None], m.fc(y).t()[None]),
    'with a bias': lambda m, s, y: F.linear(s, m.fc(y), m.bias),
    'gated parameter': lambda m, s, y: F.linear(s, m.w * m.fc(y).mean()),
    'einsum': lambda m, s, y: torch.einsum('nc,oc->no', s, m.fc(y)),
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', DYNAMIC)
def test_computed_weights_are_dynamic(name, form):
    """4 x 6 spikes with 5 x 6 activations: each spike is added to 5 sums,
    of which 4 x 5 are held."""
    torch.manual_seed(0)
    model = Model(DYNAMIC[name], fc=nn.Linear(7, 6), w=parameter(5, 6),
                  bias=parameter(5))
    x = torch.randn(4, 6).abs()
    found, = synapses(recorded(model, x, torch.randn(5, 7), form=form))
    spikes = int((SFANeuron(2)(2 * x) * 2).sum())
    assert (found.static, found.kind, found.weights, found.weight_bytes,
            found.weight_pieces) == (False, 'matmul', 0, 0, [])
    assert found.sops == 5 * spikes > 0
    assert found.accumulators == 4 * 5
    assert found.accumulator_max >= 6 * 2


@pytest.mark.parametrize('form', FORMS)
def test_a_computed_kernel_is_dynamic(form):
    torch.manual_seed(0)
    model = Model(
        lambda m, s, z: F.conv2d(s, m.kernels(z), m.bias),
        kernels=nn.Conv2d(3, 3, 3), bias=parameter(2))
    x, z = torch.randn(2, 3, 6, 6), torch.randn(2, 3, 5, 5)
    trace = recorded(model, x, z, form=form)
    found, = synapses(trace)
    assert (found.kind, found.static, found.weights) == ('conv', False, 0)
    assert found.weight_bytes == 2 * 4  # the bias is a parameter
    assert found.accumulators == 2 * 2 * 4 * 4
    # 27 terms of at most 2 spikes times the largest weight.
    with torch.no_grad():
        largest = model.kernels(z).abs().max().ceil().int().item()
    assert found.accumulator_max == 27 * 2 * largest
    projection = network_from_trace(trace).projections[-1]
    assert not projection.static and 'multiplies two activations' in (
        projection.reason)
    assert not estimate(trace, 'loihi').on_chip[0].fits


# What multiplies the spikes depends on parameters alone.
STATIC = {
    'parameter in front': (lambda m, s: m.w @ s.t(), 30),
    'batched, in front': (lambda m, s: torch.bmm(
        m.w.expand(2, 5, 6), s.view(2, 2, 6).transpose(1, 2)), 30),
    'batched': (lambda m, s: s.view(2, 2, 6) @ m.w.t(), 30),
    'each batch its own': (lambda m, s: torch.bmm(s.view(2, 2, 6), m.two),
                           2 * 6 * 5),
    'buffer': (lambda m, s: F.linear(s, m.fixed), 30),
    'masked': (lambda m, s: F.linear(s, m.w * (m.w > 0)), 30),
    'standardised': (lambda m, s: F.linear(
        s, (m.w - m.w.mean(1, keepdim=True)) / m.w.std()), 30),
    'made of numbers': (lambda m, s: F.linear(s, torch.ones(5, 6)), 30),
    'copied': (lambda m, s: F.linear(s, m.w.clone().contiguous()), 30),
    'repeated': (lambda m, s: F.linear(s, m.w[:, :3].repeat(1, 2)), 15),
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', STATIC)
def test_weights_from_parameters_are_static(name, form):
    run, number = STATIC[name]
    torch.manual_seed(0)
    model = Model(run, w=parameter(5, 6), two=parameter(2, 6, 5))
    model.register_buffer('fixed', torch.randn(5, 6))
    x = torch.randn(4, 6).abs()
    trace = recorded(model, x, form=form)
    found, = synapses(trace)
    spikes = int((SFANeuron(2)(2 * x) * 2).sum())
    assert (found.static, found.kind, found.weights, found.weight_bytes) == (
        True, 'linear', number, 4 * number)
    assert found.sops == 5 * spikes > 0
    assert sum(p[-1] for p in found.weight_pieces) == number
    assert found.accumulators == 0
    assert estimate(trace, 'loihi').on_chip[0].fits


def test_weights_from_outside_pytorch_are_not_known():
    kept = torch.randn(5, 6)
    trace = recorded(Model(lambda m, s: F.linear(s, kept)), torch.rand(4, 6))
    projection = network_from_trace(trace).projections[-1]
    assert not projection.static
    assert 'hold weights that do not in a parameter' in projection.reason


def test_weights_in_front_are_a_convolution_of_each_column():
    """``W @ S``: rows of S are channels, columns positions."""
    torch.manual_seed(0)
    model = Model(lambda m, s: torch.bmm(m.w.expand(2, 4, 3), s),
                  w=parameter(4, 3))
    trace = recorded(model, torch.rand(2, 3, 5))
    projection = network_from_trace(trace).projections[-1]
    assert projection.geometry.in_shape == (3, 5)
    assert projection.geometry.out_shape == (4, 5)
    assert (projection.op, projection.weights, projection.synapses) == (
        'linear', 12, 60)
    assert network_from_trace(trace).populations[-1].shape == (4, 5)


def chain(m, s):
    """Eight functional layers of one module."""
    for i in range(8):
        s = m.neuron(F.linear(s, m.w[i]))
    return s


def levels(m, s):
    """One head for three levels, and one that is tied to it."""
    return [m.head(s[:, :n]) for n in (2, 4, 6)] + [m.tied(s)]


# How much is held: weights once, with the membranes of one image.
HELD = {
    'slices of one parameter': (chain, dict(w=parameter(8, 6, 6)),
                                8 * 36 + 9 * 24),
    'parts of its columns, and all': (
        lambda m, s: F.linear(s[..., :4], m.w[:, :4]) + F.linear(
            s[..., 4:], m.w[:, 4:]) + F.linear(s, m.w),
        dict(w=parameter(5, 6)), 30 + 24),
    'a shared head': (levels, dict(head=nn.Linear(6, 3)), 18 + 24),
    'a list of parameters': (
        lambda m, s: [F.linear(s, w) for w in m.ws],
        dict(ws=nn.ParameterList([parameter(5, 6) for _ in range(4)])),
        120 + 24),
    'standardised in each call': (
        lambda m, s: [F.linear(s, m.w - m.w.mean()) for _ in range(3)],
        dict(w=parameter(5, 6)), 30 + 24),
    'two masks': (
        lambda m, s: [F.linear(s, m.w * mask) for mask in m.masks],
        dict(w=parameter(5, 6), masks=parameter(2, 5, 6)), 60 + 24),
    'a pair that is put together': (
        lambda m, s: [F.linear(s, torch.cat([m.w, m.v])), F.linear(s, m.v)],
        dict(w=parameter(5, 6), v=parameter(2, 6)), 42 + 24),
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', HELD)
def test_what_is_held(name, form):
    run, parts, expected = HELD[name]
    torch.manual_seed(0)
    model = Model(run, **parts)
    if run is levels:
        model.tied = nn.Linear(6, 3)
        model.tied.weight = model.head.weight
    trace = recorded(model, torch.rand(2, 4, 6), form=form)
    # FP32 membranes of 4 x 6 neurons take 4 bytes, INT8 weights one.
    assert held_bytes(trace, 'fp32') == 4 * expected
    states = sum(r.state_bytes for r in trace)
    assert held_bytes(trace, 'int8') == expected - states // 4 + states


def test_functional_and_module_layers_hold_the_same(tmp_path):
    torch.manual_seed(0)
    weights = [torch.randn(6, 6) for _ in range(3)]

    def functional(m, s):
        for w in m.ws:
            s = m.neuron(F.linear(s, w))
        return s

    def modules(m, s):
        for layer in m.layers:
            s = m.neuron(layer(s))
        return s

    layers = nn.ModuleList(nn.Linear(6, 6, bias=False) for _ in weights)
    for layer, w in zip(layers, weights):
        layer.weight.data = w
    x = 3 * torch.rand(2, 6)
    traces = [
        recorded(Model(functional, ws=nn.ParameterList(weights)), x),
        recorded(Model(modules, layers=layers), x)
    ]
    # 3 x 36 weights and 4 layers of 6 membranes.
    assert [held_bytes(t, 'fp32') for t in traces] == [4 * (108 + 24)] * 2
    for trace in traces:
        network = network_from_trace(trace)
        assert sum(p.weights for p in network.projections) == 108
        trace.save(tmp_path / 'trace.json')
        loaded = type(trace).load(tmp_path / 'trace.json')
        assert held_bytes(loaded, 'fp32') == held_bytes(trace, 'fp32')
        assert held_bytes(type(trace).merged([loaded, trace]), 'fp32') == (
            held_bytes(trace, 'fp32'))
