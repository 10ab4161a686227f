"""What is made after Python code has read values that follow the input."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import estimate, network_from_trace
from mmsnn.neurons import SFANeuron
from mmsnn.trace import SYNAPSES

FORMS = ['spikes', 'counts']


class Model(nn.Module):
    """``run(model, spikes, y)``; ``fc`` makes activations of ``y``."""

    def __init__(self, run):
        super().__init__()
        self.run = run
        self.neuron, self.late = SFANeuron(2), SFANeuron(2)
        self.fc, self.reader = nn.Linear(7, 6), Reader()
        self.w = nn.Parameter(torch.randn(5, 6))
        self.three = nn.Parameter(torch.randn(3, 5, 6))
        self.register_buffer('fixed', torch.randn(5, 6))

    def forward(self, x, y):
        return self.run(self, self.neuron(2 * x), self.fc(y))


class Reader(nn.Module):

    def forward(self, x):
        return x.mean().item()


def record(run, form='counts', *batches):
    torch.manual_seed(0)
    model = Model(run).eval()
    with to_spike_train(model, form) as spiking:
        for y in batches or [torch.randn(5, 7)]:
            spiking(torch.rand(4, 6), y)
    return spiking.trace


def synapse(trace):
    """The only one on spikes."""
    found, = (r for r in trace if r.kind in SYNAPSES and r.spiking)
    return found


def edges(trace, op, module='(model)'):
    """By module and op: what the last op of a name has read."""
    names = [f'{r.module}:{r.op}' for r in trace]
    *_, found = (sources for name, sources in zip(names, trace.sources())
                 if name == f'{module}:{op}')
    return {names[s] if isinstance(s, int) else s for s in found}


def in_place(m, s, y):
    m.fixed.mul_(float(y.mean()))
    return F.linear(s, m.fixed)


def picked(m, s, y):
    return F.linear(s, 2 * m.w if y.mean() > 0 else 3 * m.w)


# A weight that follows y by way of Python, and what has read y first.
DYNAMIC = {
    'float': (lambda m, s, y: F.linear(s, m.w * float(y.mean())), 'float in'),
    'int': (lambda m, s, y: F.linear(s, m.w * int(y.sum())), 'int in'),
    'item, in a module': (lambda m, s, y: F.linear(s, m.w * m.reader(y)),
                          'item in reader'),
    'tolist': (lambda m, s, y: F.linear(s, m.w * y.tolist()[0][0]),
               'tolist in'),
    'numpy': (lambda m, s, y: F.linear(s, m.w * float(y.numpy().mean())),
              'numpy in'),
    'of spikes': (lambda m, s, y: F.linear(s, m.w * s.tolist()[0][0]),
                  'tolist in'),
    'truth': (picked, 'bool in'),
    'equality': (lambda m, s, y: F.linear(
        s, m.w * (1 if torch.equal(y, y + 1) else 2)), 'equal in'),
    'number of those found': (lambda m, s, y: F.linear(
        s, m.w * len(y.nonzero())), 'nonzero in'),
    'number of those masked': (lambda m, s, y: F.linear(
        s, m.w * len(y[y > 0])), 'index in'),
    'number of those selected': (lambda m, s, y: F.linear(
        s, m.w * len(y.masked_select(y > 0))), 'masked_select in'),
    'filled': (lambda m, s, y: F.linear(
        s, torch.full((5, 6), float(y.mean()))), 'float in'),
    'list': (lambda m, s, y: F.linear(s, torch.tensor(y.tolist())),
             'tolist in'),
    'in place': (in_place, 'float in'),
    'put together': (lambda m, s, y: F.linear(s, torch.cat(
        [m.w[:2], m.w[2:] * float(y.mean())])), 'float in'),
    'weights in front': (lambda m, s, y: m.w * float(y.mean()) @ s.t(),
                         'float in'),
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', DYNAMIC)
def test_weights_made_after_a_read_are_dynamic(name, form):
    run, first = DYNAMIC[name]
    trace = record(run, form)
    found = synapse(trace)
    assert (found.static, found.kind, found.weights, found.weight_pieces) == (
        False, 'matmul', 0, [])
    assert found.sops == 5 * found.in_spikes > 0
    projection = network_from_trace(trace).projections[-1]
    assert not projection.static and projection.operand
    assert f'has read values that follow its input ({first} ' in (
        projection.reason.replace('reader)', 'reader )'))
    assert not estimate(trace, 'loihi').on_chip[0].fits


def before(m, s, y):
    w = 2 * m.w
    y.mean().item()
    return F.linear(s, w)


# Here nothing that follows y can have a say in the weights' values.
STATIC = {
    'a parameter': lambda m, s, y: (y.tolist(), F.linear(s, m.w)),
    'a parameter, over more axes': lambda m, s, y: (
        y.tolist(), s.view(2, 2, 6) @ m.w.t()),
    'a part of one': lambda m, s, y: F.linear(s, m.three[int(y.sum()) % 3]),
    'a parameter of another type': lambda m, s, y: (
        y.tolist(), F.linear(s, m.w.double().float())),
    'a buffer': lambda m, s, y: (y.tolist(), F.linear(s, m.fixed)),
    'after parts by constant masks': lambda m, s, y: (
        y[:, torch.arange(6) > 2], y.masked_select(torch.arange(6) > 2),
        y[torch.tensor([0, 1])], F.linear(s, 2 * m.w)),
    'zeros': lambda m, s, y: (y.tolist(), F.linear(s, torch.zeros(5, 6))),
    'made before': before,
    'by a parameter': lambda m, s, y: F.linear(s, m.w * float(m.w.mean())),
    'by a constant': lambda m, s, y: F.linear(
        s, m.w * torch.tensor([2.]).item()),
    'by a size': lambda m, s, y: F.linear(s, m.w / len(y) * y.shape[1]),
    'by positions': lambda m, s, y: (
        y[torch.tensor([0, 1])], F.linear(s, 2 * m.w)),
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', STATIC)
def test_weights_on_which_no_read_has_a_say_are_static(name, form):
    found = synapse(record(STATIC[name], form))
    assert (found.static, found.kind, found.weights, found.note) == (
        True, 'linear', 30, '')


def test_ways_of_different_images_are_told_apart():
    """One image takes the parameter, the other makes weights of it."""
    trace = record(
        lambda m, s, y: F.linear(s, m.w if y.mean() > 0 else 3 * m.w),
        'counts', *(v * torch.ones(5, 7) for v in (-9., 9.)))
    found = [r for r in trace if r.kind in SYNAPSES and r.spiking]
    assert {(r.static, r.weights, r.calls) for r in found} == {
        (True, 30, 1), (False, 0, 1)}


@pytest.mark.parametrize('form', FORMS)
def test_a_number_that_was_read_is_a_factor_as_the_tensor_is(form):
    """The product stands between the synapse and the neuron: it is folded
    into neither."""
    read, tensor = (record(run, form) for run in (
        lambda m, s, y: m.late(F.linear(s, m.w) * float(y.mean())),
        lambda m, s, y: m.late(F.linear(s, m.w) * y.mean())))
    assert edges(read, 'mul') == {'(model):mm', '(model):mean'}
    assert read.sources() == tensor.sources()
    of_read, of_tensor = map(network_from_trace, (read, tensor))
    assert of_read.projections == of_tensor.projections
    assert {p.source for p in of_read.projections if p.target == 'late'} == {
        '(model)', 'fc'}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('read', [
    lambda s: s.tolist()[0][0], lambda s: float(s.numpy().mean()),
    lambda s: float(np.asarray(s).mean()), lambda s: float(f'{s[0, 0]:.1f}'),
    lambda s: float(s[0, 0]), lambda s: float(np.from_dlpack(s).mean())])
def test_values_of_spikes_come_from_their_neuron(read, form):
    trace = record(lambda m, s, y: F.linear(s, m.w * read(s)), form)
    assert edges(trace, 'mul') == {'neuron:neuron'}
    assert not synapse(trace).static


@pytest.mark.parametrize('form', FORMS)
def test_spikes_times_a_number_that_was_read_are_no_spikes(form):
    trace = record(lambda m, s, y: F.linear(s * float(y.mean()), m.w), form)
    assert not any(r.spiking for r in trace if r.kind in SYNAPSES)
    assert trace.total('sops') == 0
    *_, last = trace
    assert last.macs == 4 * 6 * 5
    assert edges(trace, 'mul') == {'neuron:neuron', '(model):mean'}


def test_a_decision_is_no_factor():
    def run(m, s, y):
        assert y.isfinite().all()
        return F.linear(s, m.w) * 2

    assert edges(record(run), 'mul') == {'(model):mm'}


def test_weights_from_outside_pytorch_keep_their_reason():
    """A parameter that has been an array, and what is computed from it."""
    for run in (
            lambda m, s, y: F.linear(s, torch.from_numpy(
                m.w.detach().numpy())),
            lambda m, s, y: F.linear(s, 2 * torch.from_numpy(
                m.w.detach().numpy()))):
        projection = network_from_trace(record(run)).projections[-1]
        assert not projection.static
        assert 'comes from outside PyTorch' in projection.reason


def test_products_of_activations_keep_their_reason():
    trace = record(lambda m, s, y: F.linear(s, y * float(y.mean())))
    projection = network_from_trace(trace).projections[-1]
    assert 'multiplies two activations' in projection.reason


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('make', [
    lambda m: torch.rand(5, 6), lambda m: m.w * torch.randn(5, 6),
    lambda m: torch.empty(5, 6).uniform_() + 1,
    lambda m: F.dropout(m.w, training=True),
    lambda m: m.w.new_zeros(5, 6).bernoulli_()])
def test_weights_that_are_drawn_are_not_static(make, form):
    trace = record(lambda m, s, y: F.linear(s, make(m)), form,
                   *2 * [torch.randn(5, 7)])
    projection = network_from_trace(trace).projections[-1]
    assert not projection.static
    assert 'is drawn at random in each call' in projection.reason


def keeps_a_number(m, s, y):
    out = F.linear(s, m.w * getattr(m, 'kept', 1.))
    m.kept = float(y.mean())
    return out


def keeps_a_number_in_a_list(m, s, y):
    kept = vars(m).setdefault('kept', [1.])
    out = F.linear(s, m.w * kept[-1])
    kept.append(y.mean().item())
    return out


def keeps_a_tensor(m, s, y):
    out = F.linear(s, m.w * getattr(m, 'kept', 1.))
    m.kept = y.mean()
    return out


def keeps_in_a_buffer(m, s, y):
    out = F.linear(s, m.w * m.fixed)
    m.fixed.mul_(.9).add_(y.mean())
    return out


def chooses_by_the_call_before(m, s, y):
    out = F.linear(s, m.w * (2 if getattr(m, 'kept', False) else 1))
    m.kept = bool(y.mean() > 0)
    return out


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('run,said', [
    (keeps_a_number, 'float in .model., in an earlier call'),
    (keeps_a_number_in_a_list, 'item in .model., in an earlier call'),
    (chooses_by_the_call_before, 'bool in .model., in an earlier call'),
    (keeps_a_tensor, 'kept from an earlier call'),
    (keeps_in_a_buffer, 'kept from an earlier call')])
def test_what_an_earlier_call_has_kept_is_not_static(run, said, form):
    """Static in the first call, where nothing was kept, and in none of the
    three that follow."""
    trace = record(run, form,
                   *(torch.full((5, 7), float(k)) for k in range(4)))
    found = {r.static: r for r in trace if r.kind in SYNAPSES and r.spiking}
    assert found[True].calls == 1 and found[False].calls == 3
    assert re.search(said, found[False].note)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('run', [
    lambda m, s, y: F.linear(s, m.w * 2 + 0 * float(m.w.sum())),
    lambda m, s, y: F.linear(s, m.w * 2) + float(y.mean()),
    lambda m, s, y: setattr(m, 'fixed', y) or F.linear(
        s, m.w * 2) + float(y.mean())])
def test_where_no_number_is_kept_weights_stay_static(run, form):
    trace = record(run, form,
                   *(torch.full((5, 7), float(k)) for k in range(3)))
    found = synapse(trace)
    assert found.static and found.calls == 3
