"""The quantiser's kernels against its definition in PyTorch."""

import itertools

import pytest
import torch
from oracles.edge_numbers import DTYPES, edges, same

from mmsnn.neurons import (
    SFANeuron,
    SpikingNeuron,
    integrate_and_fire,
    packed,
    spike_count,
    spike_firing,
)
from mmsnn.neurons.gpu import sfa
from mmsnn.neurons.surrogate import smooth_firing


def gradients(function, u, grad):
    u = u.detach().requires_grad_()
    out = function(u)
    return out, torch.autograd.grad(out, u, grad)[0]


@pytest.mark.parametrize('threshold', [1., 0.5, 0.7, 3.])
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_all_edges(plainly, dtype, threshold):
    for offset, most in itertools.product((0., 0.5), (1, 4, 126, 127, 255)):
        if dtype is torch.bfloat16 and most > 128:
            continue
        u = edges(dtype, most)
        if threshold != 1:  # as near to the edges as may be
            u = torch.cat([u, u * threshold])
        grad = torch.randn(u.shape, dtype=torch.float64).to(dtype)
        grad[::7] = edges(dtype, 1)[:len(grad[::7])].repeat(
            9 * most)[:len(grad[::7])]

        def fire(x):
            return spike_firing(x, most, 1 / most, offset=offset,
                                threshold=threshold)

        found, wanted = gradients(fire, u, grad), plainly(
            gradients, fire, u, grad)
        assert same(found[0], wanted[0]) and found[0].count_nonzero()
        assert same(found[1], wanted[1]) and found[1].count_nonzero()
        assert same(fire(u), wanted[0])
        assert same(spike_count(u, most, offset),
                    plainly(spike_count, u, most, offset))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_bytes_hold_count_and_window(plainly, dtype):
    for most in (4, 126):
        u = edges(dtype, most)
        _, kept = sfa.fire_in_training(u, most, 0.25, mask=packed.NO_NUMBER)
        counts = plainly(spike_count, u, most)
        inside = (u >= 0) & (u <= most)
        wanted = counts.nan_to_num(127) + 128 * inside
        assert torch.equal(kept, wanted.to(torch.uint8))
        values = counts * 0.25
        assert torch.equal(packed.pack(values, 0.25), kept & 127)
        assert same(packed.unpack(kept, 0.25, dtype), values)
    _, kept = sfa.fire_in_training(torch.tensor([-1., 3., 200.]), 127, 1.)
    assert kept.tolist() == [0, 128, 0]  # too many to be kept


def test_neurons_leave_their_bytes(on_cpu):
    u = torch.tensor([-1., 1.6, 9.], requires_grad=True)
    for threshold, wanted in ((1., [0, 130, 4]), (2., [0, 129, 4])):
        values = SFANeuron(threshold=threshold)(u)
        found = packed.spike_bytes(values)
        assert found.made_of(values).tolist() == wanted


def layouts():
    x = torch.randn(3, 5, 7, 11) * 3
    yield x
    yield x.to(memory_format=torch.channels_last)
    yield x.permute(3, 1, 0, 2)
    yield x[0].mT
    yield torch.randn(4, 0, 3)
    yield torch.randn(()) * 3
    yield torch.randn(1) * 3
    yield torch.randn(2 * 1024) * 3  # whole blocks
    yield torch.randn(2 * 1024 + 1) * 3


@pytest.mark.parametrize('x', layouts(), ids=lambda x: str(tuple(x.shape)))
def test_layouts_are_kept(plainly, x):
    neuron = SFANeuron(threshold=0.7)
    for grad in (torch.randn(x.shape), torch.ones(()).expand(x.shape)):
        found, wanted = gradients(neuron, x, grad), plainly(
            gradients, neuron, x, grad)
        for a, b in zip(found, wanted):
            assert torch.equal(a, b)
            assert a.stride() == b.stride() or not a.numel()
    for fired in integrate_and_fire(x, 2):
        assert fired.stride() == x.stride()


@pytest.mark.parametrize('odd', [
    lambda x: x[:, ::2], lambda x: x[1:, 1:], lambda x: x[..., :1].expand(
        6, 8, 3)
], ids=['every other', 'cut out', 'expanded'])
def test_gaps_in_memory(plainly, odd):
    x = odd(torch.randn(6, 8, 5) * 3)
    before = x.clone()
    for inplace in (False, True):
        neuron = SFANeuron(inplace=inplace, threshold=0.7)
        grad = torch.randn(x.shape)
        found, wanted = gradients(neuron, x, grad), plainly(
            gradients, neuron, x, grad)
        assert all(map(torch.equal, found, wanted))
        with torch.no_grad():
            assert torch.equal(neuron(x), wanted[0])
        assert torch.equal(x, before)


def test_inplace_where_no_gradient_is_needed(on_cpu):
    for threshold in (1., 0.7):
        neuron = SFANeuron(inplace=True, threshold=threshold)
        u = torch.randn(40) * 3
        expected = spike_firing(u.clone() / threshold, 4, 0.25)
        leaf = u.clone().requires_grad_()
        assert torch.equal(neuron(leaf), expected)
        assert torch.equal(leaf, u)
        with torch.no_grad():
            out = neuron(u)
        assert torch.equal(out, expected) and out.data_ptr() == u.data_ptr()


def test_offsets_of_64_bits(plainly, monkeypatch):
    monkeypatch.setattr('mmsnn.neurons.gpu.device._LONG', 1)
    u, grad = torch.randn(2, 2500) * 3
    for neuron in (SFANeuron(), SpikingNeuron(4, timesteps=2, decay=0.5)):
        found, wanted = gradients(neuron, u, grad), plainly(
            gradients, neuron, u, grad)
        assert all(map(torch.equal, found, wanted))
    assert all(map(torch.equal, integrate_and_fire(u, 3),
                   plainly(integrate_and_fire, u, 3)))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_trains_of_the_if_neuron(plainly, dtype):
    for offset, most in itertools.product((0., 0.5), (1, 4, 100)):
        u = edges(dtype, most)
        found = integrate_and_fire(u, most, offset)
        wanted = plainly(integrate_and_fire, u, most, offset)
        assert len(found) == most and all(map(same, found, wanted))
        assert found[0].count_nonzero()


def test_trains_are_tensors_of_their_own(on_cpu):
    first, second = integrate_and_fire(torch.tensor([0.6, 2.]), 2)
    before = second._version
    assert not first._is_view() and not second._is_view()
    weight = torch.ones(2, requires_grad=True)
    first += weight  # a view of what others share could not be changed
    assert first.tolist() == [2, 2] and first.requires_grad
    assert second.tolist() == [0, 1] and second._version == before


@pytest.mark.parametrize('surrogate', ['sigmoid', 'arctan'])
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_smooth_surrogates(plainly, dtype, surrogate):
    u = torch.cat([edges(dtype, 1), torch.randn(50).to(dtype) * 4])
    grad = torch.randn(u.shape).to(dtype)
    for offset in (0., 0.5):
        found = gradients(
            lambda u: smooth_firing(u, offset, surrogate, 3.), u, grad)
        wanted = plainly(gradients, lambda u: smooth_firing(
            u, offset, surrogate, 3.), u, grad)
        assert same(found[0], wanted[0])
        # Half types are rounded once here, at each operation there.
        exact = plainly(gradients, lambda u: smooth_firing(
            u, offset, surrogate, 3.), u.double(), grad.double())[1]
        torch.testing.assert_close(
            found[1], exact.to(dtype), equal_nan=True,
            rtol=8 * torch.finfo(dtype).eps, atol=1e-6)
    scalar = torch.tensor(1., dtype=dtype)
    assert smooth_firing(scalar, 0., surrogate, 3.) == 1


def test_gradients_where_something_follows(on_cpu, plainly):
    """Operations that are followed in the backward pass only."""
    from torch.utils.flop_counter import FlopCounterMode
    u, grad = torch.randn(2, 30) * 3
    neuron = SFANeuron(threshold=0.7)
    leaf = u.clone().requires_grad_()
    out = neuron(leaf)
    with FlopCounterMode(display=False):
        out.backward(grad)
    assert torch.equal(leaf.grad, plainly(gradients, neuron, u, grad)[1])
