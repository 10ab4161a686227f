"""The kernels over time against charge, fire and discharge in PyTorch."""

import random

import pytest
import torch
from oracles.edge_numbers import DTYPES, edges, same

from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron, ops
from mmsnn.neurons.gpu import fire_over_time

DECAYS = [
    dict(),
    dict(decay=0.6),
    dict(decay=0.6, decay_input=True),
    dict(decay=0.7, learn_decay=True),
    dict(decay=0.7, decay_input=True, learn_decay=True),
]
SURROGATES = [
    dict(),
    dict(max_spikes=4),
    dict(max_spikes=200),
    dict(surrogate='arctan', slope=3.),
    dict(surrogate='sigmoid', slope=3.)
]
SHAPES = [(), (5, ), (3, 5, 7), (70, ), (2, 2, 2), (33, 2), (2050, )]
CASES = range(80)


class Case:
    """A neuron drawn at random, and tensors for it."""

    def __init__(self, seed):
        draw = random.Random(seed)
        self.keys = dict(
            reset=draw.choice(('soft', 'hard')),
            detach_reset=draw.choice((True, False)),
            threshold=draw.choice((1., 0.5, 0.7)),
            timesteps=draw.choice((1, 2, 3)),
            **draw.choice(DECAYS),
            **draw.choice(SURROGATES))
        self.offset = draw.choice((0., 0.5))
        self.dtype = draw.choice(DTYPES)
        if self.dtype is torch.bfloat16:
            most = self.keys.get('max_spikes', 1)
            self.keys['max_spikes'] = min(most, 128)
        self.neuron = SpikingNeuron(scale=0.3, **self.keys)
        self.neuron.offset = self.offset
        samples, shape = draw.choice((1, 2, 3)), draw.choice(SHAPES)
        inputs = samples * self.neuron.timesteps, *shape
        wide = torch.promote_types(self.dtype, torch.float32)
        special = edges(self.dtype, 1)
        x, grad = torch.randn(2, *inputs, dtype=wide) * 2
        x, self.grad = x.to(self.dtype), grad.to(self.dtype)
        if draw.random() < 0.5:
            x.view(-1)[:len(special)] = special[:x.numel()]
        self.state = torch.randn(samples, *shape, dtype=wide)
        self.grad_left = torch.randn(samples, *shape, dtype=wide)
        if len(shape) == 3 and draw.random() < 0.5:
            x = x.to(memory_format=torch.channels_last)
            self.grad_left = self.grad_left.to(
                memory_format=torch.channels_last)
        self.x = x
        if draw.random() < 0.3:
            self.state = None
        if draw.random() < 0.5:
            self.grad_left = None

    def run(self):
        """Output, state left, and gradients by inputs, state and decay."""
        leaves = [self.x.detach().requires_grad_()]
        state = self.state
        if state is not None:
            state = state.detach().requires_grad_()
            leaves.append(state)
        out, left = self.neuron.run(leaves[0], state)
        outs, grads = [out], [self.grad]
        if self.grad_left is not None:
            outs, grads = [out, left], [self.grad, self.grad_left]
        found = torch.autograd.grad(
            outs, leaves + list(self.neuron.parameters()), grads)
        return out, left, found[:len(leaves)], found[len(leaves):]


def test_all_values_are_drawn():
    cases = list(map(Case, CASES))
    for name in ('reset', 'detach_reset', 'threshold', 'timesteps', 'decay',
                 'decay_input', 'learn_decay', 'surrogate', 'max_spikes'):
        assert len({c.keys.get(name) for c in cases}) > 1
    assert {c.dtype for c in cases} == set(DTYPES)
    for shape in SHAPES:
        assert any(c.x.shape[1:] == shape for c in cases)


@pytest.mark.parametrize('seed', CASES)
def test_as_unrolled(plainly, seed):
    case = Case(seed)
    found, wanted = case.run(), plainly(case.run)
    assert same(found[0], wanted[0]) and same(found[1], wanted[1])
    assert found[0].stride() == case.x.stride()
    for a, b in zip(found[2], wanted[2]):
        if 'slope' in case.keys:
            # The exponential and the quotient may differ in the last places.
            eps = torch.finfo(case.dtype).eps
            torch.testing.assert_close(
                a, b, rtol=8 * eps, atol=8 * eps, equal_nan=True)
        else:
            assert same(a, b)
    for a, b in zip(found[3], wanted[3]):  # a sum over all neurons
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3, equal_nan=True)


def test_many_blocks_for_each_program(plainly):
    """Of one sample, and of several; room is overwritten again and again."""
    for samples, size in ((2, 2100), (1300, 2)):
        neuron = LIFNeuron(timesteps=3, decay=0.5, learn_decay=True)
        u, grad = torch.randn(2, 3 * samples, size) * 2

        def run():
            leaf = u.detach().requires_grad_()
            return torch.autograd.grad(
                neuron(leaf), [leaf, neuron.decay_logit], grad)

        found, wanted = run(), plainly(run)
        torch.testing.assert_close(found[0], wanted[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found[1], wanted[1], rtol=1e-4, atol=0)


@pytest.mark.parametrize('order', [(0, 3, 2, 1), (0, 2, 1, 3), (1, 0, 2, 3),
                                   (3, 1, 2, 0)], ids=str)
def test_orders_of_axes(plainly, order):
    x = torch.randn(4, 4, 4, 4).permute(order) * 2
    for neuron in (SFANeuron(timesteps=2), LIFNeuron(timesteps=2)):
        leaf = x.detach().requires_grad_()
        out, left = neuron.run(leaf)
        grad, = torch.autograd.grad(out, leaf, x)
        again = x.detach().requires_grad_()
        wanted, state = plainly(neuron.run, again)
        assert torch.equal(out, wanted) and torch.equal(left, state)
        assert out.stride() == x.stride()
        torch.testing.assert_close(
            grad, torch.autograd.grad(wanted, again, x)[0])


@pytest.mark.parametrize('make', [LIFNeuron, SFANeuron])
@pytest.mark.parametrize('shape', [(0, 3), (4, 0), (0, 2, 3, 3)])
def test_empty_batches(on_cpu, make, shape):
    u = torch.zeros(shape, requires_grad=True)
    neuron = make(timesteps=4, decay=0.5, learn_decay=True)
    out, state = neuron.run(u)
    assert out.shape == u.shape and state.shape == (shape[0] // 4, *shape[1:])
    (out.sum() + state.sum()).backward()
    assert u.grad.shape == u.shape and neuron.decay_logit.grad == 0


def test_what_is_kept(on_cpu):
    kept = []

    def pack(x):
        kept.append(x.numel() * x.element_size())
        return x

    u = torch.randn(8, 6, dtype=torch.float16, requires_grad=True)
    for neuron, wanted in ((SFANeuron(timesteps=4), 1),
                           (SFANeuron(timesteps=4, detach_reset=False), 1),
                           (LIFNeuron(timesteps=4), 2)):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            neuron(u).sum().backward()
        assert sum(kept) == wanted * u.numel()


def test_inplace_and_no_state_where_they_may_be(on_cpu):
    u = torch.randn(4, 70) * 2
    neuron = LIFNeuron(timesteps=2)
    expected, left = fire_over_time(neuron, u.clone(), None, 2)
    out, none = fire_over_time(neuron, u, None, 2, True, False)
    assert torch.equal(out, expected) and out.data_ptr() == u.data_ptr()
    assert none is None and left.shape == (2, 70)


def test_one_gradient_only(plainly):
    """Of the state left, not of the output."""
    u = torch.randn(6, 5) * 2
    for neuron in (SFANeuron(timesteps=3), LIFNeuron(timesteps=3)):

        def run():
            leaf = u.detach().requires_grad_()
            return torch.autograd.grad(neuron.run(leaf)[1].sum(), leaf)[0]

        assert torch.equal(run(), plainly(run))


@pytest.mark.filterwarnings('ignore:There is a performance drop')
@pytest.mark.parametrize('neuron', [
    SFANeuron(), SFANeuron(timesteps=2), LIFNeuron(),
    LIFNeuron(timesteps=2, learn_decay=True)
], ids=['static', 'bytes', 'smooth', 'learnt decay'])
def test_batches_of_gradients(on_cpu, monkeypatch, neuron):
    monkeypatch.setattr(ops, '_is_for_gpu', lambda tensor: True)
    u = torch.randn(4, 3).mul_(2).requires_grad_()
    inputs = [u, *neuron.parameters()]
    grads = torch.randn(5, 4, 3)
    found = torch.autograd.grad(
        neuron(u), inputs, grads, is_grads_batched=True)
    for i, grad in enumerate(grads):
        wanted = torch.autograd.grad(neuron(u), inputs, grad)
        assert wanted[0].any()
        assert all(torch.equal(x[i], y) for x, y in zip(found, wanted))
