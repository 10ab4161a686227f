"""The quantiser against its definition, #{d in 1..D: u >= d - 1/2}."""

import math
from fractions import Fraction

import pytest
import torch

from mmsnn.neurons import (
    LIFNeuron,
    SFANeuron,
    fire_and_count,
    integrate_and_fire,
    is_finite,
    native,
    spike_count,
    spike_firing,
    spikes_per_position,
    spikes_per_substep,
)

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.bfloat16: torch.int16
}


def by_definition(values, max_spikes):
    """Counts in rational arithmetic; NaN has no count and stays NaN."""
    counts = []
    for u in values:
        if math.isnan(u):
            counts.append(math.nan)
        elif math.isinf(u):
            counts.append(max_spikes if u > 0 else 0)
        else:
            counts.append(
                sum(
                    Fraction(u) >= Fraction(2 * d - 1, 2)
                    for d in range(1, max_spikes + 1)))
    return counts


def edges(dtype, max_spikes):
    """Numbers around every half and integer, zeros, extremes, NaN."""
    centres = torch.arange(-1, 2 * max_spikes + 3).to(dtype) / 2
    far = torch.tensor(math.inf, dtype=dtype)
    info = torch.finfo(dtype)
    special = torch.tensor([
        -0.0, info.tiny, -info.tiny, info.max, info.min, math.inf, -math.inf,
        math.nan, 1e30, -1e30
    ], dtype=dtype)
    return torch.cat([
        centres,
        torch.nextafter(centres, far),
        torch.nextafter(centres, -far), special
    ])


def bits(x):
    """Equal bits mean equal numbers, -0.0 and NaN included."""
    return x.nan_to_num(nan=12345.).view(BITS[x.dtype])


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('max_spikes', [1, 3, 4, 8])
def test_count_at_the_edges(path, dtype, max_spikes):
    u = edges(dtype, max_spikes)
    expected = torch.tensor(by_definition(u.tolist(), max_spikes))
    actual = spike_count(u, max_spikes)
    assert actual.dtype == dtype
    torch.testing.assert_close(
        actual.float(), expected.float(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize('max_spikes', [1, 4, 8])
def test_count_of_every_bfloat16(path, max_spikes):
    u = torch.arange(-2**15, 2**15).to(torch.int16).view(torch.bfloat16)
    wide = u.double()
    expected = sum((wide >= d - 0.5).double()
                   for d in range(1, max_spikes + 1))
    expected[wide.isnan()] = math.nan
    torch.testing.assert_close(
        spike_count(u, max_spikes).double(),
        expected,
        rtol=0,
        atol=0,
        equal_nan=True)


def test_textbook_form_fails_where_ours_must_not(path):
    # The last float32 below one half: adding one half rounds up to 1.
    u = torch.tensor([0.49999997])
    assert (u + 0.5).floor().item() == 1
    assert spike_count(u, 4).item() == 0


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('max_spikes,scale', [(1, 1.), (3, 1 / 3), (4, 0.25),
                                              (8, 0.7)])
def test_kernels_agree_with_plain_pytorch(compiler, monkeypatch, dtype,
                                          max_spikes, scale):
    assert native.load()
    torch.manual_seed(0)
    u = torch.cat([
        edges(dtype, max_spikes),
        ((torch.rand(5000) * 2 - 0.5) * max_spikes).to(dtype)
    ])
    grad = torch.randn(u.shape).to(dtype)

    def both():
        v = u.clone().requires_grad_()
        out = spike_firing(v, max_spikes, scale)
        out.backward(grad)
        free = spike_firing(u, max_spikes, scale)
        levels = spikes_per_substep(free.nan_to_num(0.), max_spikes, scale)
        return bits(out.detach()), bits(free), bits(v.grad), levels

    fast = both()
    monkeypatch.setattr(native, 'load', lambda: None)
    slow = both()
    assert fast[-1] == slow[-1]
    for a, b in zip(fast[:-1], slow[:-1]):
        assert torch.equal(a, b)


@pytest.mark.parametrize('max_spikes', [1, 3, 4, 8])
@pytest.mark.parametrize('scale', [1., 0.25])
def test_gradient_is_the_rectangular_window(path, max_spikes, scale):
    u = edges(torch.float64, max_spikes).requires_grad_()
    torch.manual_seed(0)
    grad = torch.randn(u.shape, dtype=u.dtype)
    spike_firing(u, max_spikes, scale).backward(grad)
    for x, g, actual in zip(u.tolist(), grad.tolist(), u.grad.tolist()):
        # 0 and D are inside; NaN is not.
        assert actual == (g * scale if 0 <= x <= max_spikes else 0), x


def test_gradient_of_expanded_and_of_strided_gradients(path):
    u = torch.tensor([[-1., 0.2, 1.], [4., 4.5, 2.]], requires_grad=True)
    window = torch.tensor([[0., 1, 1], [1, 0, 1]])
    spike_firing(u, 4).sum().backward()  # a gradient with stride 0
    assert torch.equal(u.grad, window)
    u.grad = None
    grad = torch.arange(6.).reshape(3, 2).t()  # another memory layout
    spike_firing(u, 4, 0.5).backward(grad)
    assert torch.equal(u.grad, window * grad * 0.5)

    u = torch.randn(2, 3, 4, 5, requires_grad=True)
    grad = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    spike_firing(u, 4).backward(grad)
    assert torch.equal(u.grad, ((u >= 0) & (u <= 4)) * grad)


def test_backward_keeps_one_byte_per_element_and_never_the_input(path):
    u = torch.rand(3, 7, 5, requires_grad=True)
    kept = []

    def pack(x):
        kept.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        spike_firing(u * 4, 4, 0.25).sum().backward()
    saved_by_neuron = [x for x in kept if not x.is_floating_point()]
    assert [x.element_size() for x in saved_by_neuron] == [1]
    assert saved_by_neuron[0].numel() == u.numel()
    assert not any(x.is_floating_point() for x in kept)


@pytest.mark.parametrize('dtype', DTYPES)
def test_spikes_per_substep_by_hand(path, dtype):
    counts = torch.tensor([[0., 1., 1., 3.]], dtype=dtype)
    assert spikes_per_substep(counts, 4) == [3, 1, 1, 0]
    assert spikes_per_substep(counts / 4, 4, 0.25) == [3, 1, 1, 0]


@pytest.mark.parametrize('threads', [1, 2])
@pytest.mark.parametrize('dtype', DTYPES)
def test_spikes_per_substep(path, dtype, threads):
    torch.manual_seed(0)
    counts = torch.randint(0, 6, (2, 100_003))  # more than one slice
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        levels = spikes_per_substep((counts / 5).to(dtype), 5, 1 / 5)
    finally:
        torch.set_num_threads(before)
    assert levels == [int((counts >= d).sum()) for d in range(1, 6)]


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('max_spikes', [1, 3, 4, 5, 8])
def test_spikes_per_position(path, dtype, max_spikes):
    # Many planes: sums that bfloat16 can not hold, and counts over 3 or 5
    # that no type holds exactly.
    counts = torch.randint(0, max_spikes + 1, (3, 901, 4, 5))
    values = (counts / max_spikes).to(dtype)
    expected = counts.sum((0, 1)).double()
    for x in (values, values.to(memory_format=torch.channels_last)):
        before = x.clone()
        actual = spikes_per_position(x, max_spikes, 1 / max_spikes)
        assert torch.equal(actual, expected)
        assert torch.equal(x, before)


@pytest.mark.parametrize('threads', [1, 2])
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('place', [0, 77_777, 200_000])
def test_is_finite(path, dtype, place, threads):
    info = torch.finfo(dtype)
    u = torch.full((200_001, ), info.max, dtype=dtype)
    u[1::2] = info.min  # sums would overflow
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert is_finite(u) is True
        assert is_finite(u[::3]) is True
        assert is_finite(u[:0]) is True
        for value in (math.nan, math.inf, -math.inf):
            v = u.clone()
            v[place] = value
            assert is_finite(v) is False
    finally:
        torch.set_num_threads(before)


def test_spikes_per_position_beyond_float32(path):
    # 2^24 + 4 spikes at one position: float32 has no such odd numbers.
    counts = torch.full((2**11, 2**10 + 1, 1), 8.)
    counts[0, 0, 0] = 7.
    expected = 2**11 * (2**10 + 1) * 8 - 1
    assert expected > 2**24 and expected % 2
    assert spikes_per_position(counts, 8).item() == expected


@pytest.mark.parametrize('threads', [1, 2])
def test_long_tensors_are_cut_into_slices_without_gaps(path, threads):
    u = torch.arange(200_001.) % 7 - 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out = spike_firing(u, 4)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(out, u.clamp(0, 4))


def test_memory_layout_is_kept(path):
    torch.manual_seed(0)
    u = (torch.rand(2, 3, 4, 5) * 4).to(memory_format=torch.channels_last)
    u.requires_grad_()
    out = spike_firing(u, 4)
    out.backward(torch.ones_like(out))
    for x in (out, u.grad):
        assert x.stride() == u.stride()
    assert torch.equal(out.detach(), spike_count(u.detach().contiguous(), 4))


def test_slices_and_empty_tensors(path):
    u = torch.arange(24.).reshape(4, 6) / 4
    part = u[:, 1::2]
    assert torch.equal(spike_count(part, 4), spike_count(part.clone(), 4))
    assert torch.equal(u, torch.arange(24.).reshape(4, 6) / 4)
    assert spike_count(torch.empty(0, 3), 4).shape == (0, 3)


def test_inplace_only_where_no_gradient_is_needed(path):
    u = torch.tensor([0.6, 1.7, 9.])
    with torch.no_grad():
        out = spike_firing(u, 4, 0.5, inplace=True)
    assert out.data_ptr() == u.data_ptr()
    assert u.tolist() == [0.5, 1., 2.]

    u = torch.tensor([0.6, 1.7, 9.], requires_grad=True)
    out = spike_firing(u, 4, 0.5, inplace=True)
    assert u.tolist() == pytest.approx([0.6, 1.7, 9.])
    assert out.tolist() == [0.5, 1., 2.]

    u = torch.tensor([0.6, 1.7, 9.])
    spike_firing(u, 4, 0.5)
    assert u.tolist() == pytest.approx([0.6, 1.7, 9.])


@pytest.mark.parametrize('dtype, most', [(torch.bfloat16, 128),
                                         (torch.float16, 1024)])
def test_half_types_count_to_where_halves_are_exact(path, dtype, most):
    u = torch.arange(-1, most + 2, 0.5).to(dtype)
    wanted = (u.double() + 0.5).floor().clamp(0, most)
    assert torch.equal(spike_count(u, most).double(), wanted)
    trains = torch.stack(integrate_and_fire(u, most))
    assert torch.equal(trains.double().sum(0), wanted)
    for scale in (1 / most, 1 / 97, 1 / 77):  # edges between two numbers
        levels = spikes_per_substep(
            spike_firing(u, most, scale), most, scale)
        assert levels == [int((wanted >= d + 1).sum()) for d in range(most)]
    refused = rf'neuron.max_spikes = {most + 1} is more than .* at most {most}'
    neurons = SFANeuron(most + 1), LIFNeuron(
        most + 1, surrogate='rectangle', timesteps=2)
    for neuron in neurons:
        with pytest.raises(ValueError, match=refused):
            neuron(u[:2])
    for function in (spike_count, spike_firing, integrate_and_fire):
        with pytest.raises(ValueError, match=refused):
            function(u, most + 1)
    with pytest.raises(ValueError, match=refused):
        fire_and_count(u, most + 1, 1.)


@pytest.mark.parametrize('dtype, scale, wanted', [
    (torch.float32, 1e-320, 'float32: .* from 1.175e-38 to 8.507e[+]37'),
    (torch.float32, 1e38, 'float32'),
    (torch.float64, 0., 'float64'),
    (torch.float16, 1e-6, 'float16: .* from 6.104e-05 to 1.638e[+]04'),
    (torch.float16, 2e4, 'float16'),
    (torch.bfloat16, torch.nan, 'bfloat16'),
])
def test_a_scale_out_of_the_range_of_the_type(path, dtype, scale, wanted):
    with pytest.raises(ValueError, match=f'neuron.scale = .*{wanted}'):
        spike_firing(torch.ones(2, dtype=dtype), 4, scale)
