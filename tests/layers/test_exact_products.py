"""Products of counts against those of int64, in every precision."""

from contextlib import contextmanager

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmsnn.layers import linear_attention
from mmsnn.layers.exact_products import product_type
from mmsnn.neurons import SFANeuron
from mmsnn.neurons.saving import saved_as_bytes

HALF, FULL, DOUBLE = torch.bfloat16, torch.float32, torch.float64


@contextmanager
def matmul_precision(name):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def by_integers(query, key, value):
    query, key, value = (x.detach().long() for x in (query, key, value))
    return query @ (key.transpose(-2, -1) @ value)


@pytest.mark.parametrize('dtype,inner,most,precision,expected', [
    (HALF, 16, (4, 4), 'highest', HALF),  # 256 = 2^8
    (HALF, 17, (4, 4), 'highest', FULL),
    (torch.float16, 128, (4, 4), 'medium', torch.float16),  # 2048 = 2^11
    (torch.float16, 129, (4, 4), 'medium', FULL),
    (HALF, 2**20, (4, 4), 'highest', FULL),  # 2^24
    (HALF, 2**20 + 1, (4, 4), 'highest', DOUBLE),
    (FULL, 1, (1, 1), 'highest', FULL),
    (DOUBLE, 1, (1, 1), 'highest', DOUBLE),
    # What is rounded to 11 or 8 digits before it is multiplied.
    (FULL, 2, (4, 2048), 'high', FULL),
    (FULL, 2, (4, 2049), 'high', DOUBLE),
    (FULL, 2, (2049, 4), 'high', DOUBLE),
    (FULL, 2, (4, 2049), 'highest', FULL),
    (FULL, 2, (4, 256), 'medium', FULL),
    (FULL, 2, (4, 257), 'medium', DOUBLE)])
def test_types_by_bound(dtype, inner, most, precision, expected):
    with matmul_precision(precision):
        assert product_type(inner, *most, dtype) == expected


#: tokens, head_dim, D and types that hold D.
SIZES = [(4, 3, 1), (49, 12, 1), (196, 24, 4), (64, 2, 2), (50, 8, 8),
         (30, 5, 128), (3000, 7, 4)]


@pytest.mark.parametrize('precision', ['highest', 'high', 'medium'])
@pytest.mark.parametrize('dtype', [HALF, torch.float16, FULL, DOUBLE])
@pytest.mark.parametrize('gradients', [False, True])
def test_sums_are_those_of_integers(gradients, dtype, precision):
    torch.manual_seed(0)
    for tokens, head_dim, most in SIZES:
        shapes = [(2, 2, tokens, c) for c in (head_dim, head_dim, 6)]
        worst = [torch.full(shape, most) for shape in shapes]
        drawn = [torch.randint(0, most + 1, shape) for shape in shapes]
        for operands in (worst, drawn):
            q, k, v = (x.to(dtype).requires_grad_(gradients)
                       for x in operands)
            for rounded in (HALF, torch.float16):
                with matmul_precision(precision), torch.autocast(
                        'cpu', rounded):
                    out = linear_attention(q, k, v, most)
                assert out.dtype in (FULL, DOUBLE)
                assert torch.equal(out.long(), by_integers(*operands))


@pytest.mark.parametrize('most', [4, 300])
@pytest.mark.parametrize('dtype', [FULL, DOUBLE])
def test_gradients_are_those_of_the_products(dtype, most):
    torch.manual_seed(0)
    shapes = [(2, 2, 9, c) for c in (4, 4, 6)]
    operands = [torch.randint(0, most + 1, shape) for shape in shapes]
    grad = torch.randint(-3, 4, (2, 2, 9, 6))  # so that sums are exact
    q, k, v = (x.to(dtype).requires_grad_() for x in operands)
    expected = torch.autograd.grad(
        q.double() @ (k.mT.double() @ v.double()), (q, k, v), grad.double())
    out = linear_attention(q, k, v, most)
    actual = torch.autograd.grad(out, (q, k, v), grad.to(out.dtype))
    for a, b in zip(actual, expected):
        assert a.dtype == dtype and torch.equal(a, b)


def test_gradients_under_a_mode_that_follows_operations():
    # Plain operations run there, and give no other gradients.
    torch.manual_seed(0)
    q, k, v = (torch.randint(0, 3, (1, 1, 5, 2)).to(HALF).requires_grad_()
               for _ in range(3))
    grad = torch.randn(1, 1, 5, 2)
    own = torch.autograd.grad(linear_attention(q, k, v, 2), (q, k, v), grad)
    with FlopCounterMode(display=False):
        followed = torch.autograd.grad(
            linear_attention(q, k, v, 2), (q, k, v), grad)
    assert all(torch.equal(a, b) for a, b in zip(own, followed))


def saved_by(run):
    found = []

    def pack(x):
        found.append((x.dtype, x.numel()))
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        run()
    return found


@pytest.mark.parametrize('most,kept', [(4, torch.uint8), (126, torch.uint8),
                                       (127, FULL)])
def test_counts_of_neurons_are_saved_as_bytes(most, kept):
    neuron = SFANeuron(most, scale=1.)
    q, k, v = (
        neuron(torch.full((1, 2, 3, c), float(most), requires_grad=True))
        for c in (2, 2, 8))

    def attend():
        with saved_as_bytes(q, k, v):
            linear_attention(q, k, v, most)

    assert saved_by(attend) == [(kept, 12), (kept, 12), (kept, 48)]


def test_nan_reaches_the_gradients():
    neuron = SFANeuron(4, scale=1.)
    inputs = [torch.tensor(x).view(1, 1, -1, 1).requires_grad_() for x in (
        [1., 2.], [torch.nan, 3.], [1., 4.])]
    q, k, v = map(neuron, inputs)
    with saved_as_bytes(q, k, v):
        out = linear_attention(q, k, v, 4)
    grads = torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    # q: k1 v1 + k2 v2. k: 3 v1, 3 v2. v: 3 k1, 3 k2.
    assert [x.flatten().isnan().tolist() for x in grads] == [
        [True, True], [False, False], [True, False]]
    assert grads[1].flatten().tolist() == [3, 12]
    assert grads[2].flatten()[1].item() == 9


def test_operands_that_want_no_gradient():
    q, k, v = (torch.tensor([[[[1.], [2.]]]]) for _ in range(3))
    k.requires_grad_()
    linear_attention(q, k, v, 2).sum().backward()
    # sum_s q_s (k1 v1 + k2 v2): 3 v1 and 3 v2.
    assert k.grad.flatten().tolist() == [3, 6]
    assert q.grad is None and v.grad is None


def counts(*shape, high):
    return torch.randint(0, high + 1, shape).float()


def test_linear_attention_is_the_quadratic_one():
    torch.manual_seed(0)
    q, k, v = (counts(2, 3, 7, c, high=5) for c in (4, 4, 6))
    expected = (q.double() @ k.double().transpose(-2, -1)) @ v.double()
    assert torch.equal(linear_attention(q, k, v, 5).double(), expected)


def test_sums_beyond_float32_are_exact():
    # 4096 tokens x 9 x 8^3 = 18,874,368 > 2^24, and every sum is odd.
    tokens, head_dim = 4096, 9
    q = torch.full((1, 1, tokens, head_dim), 8.)
    k = torch.full((1, 1, tokens, head_dim), 8.)
    v = torch.full((1, 1, tokens, 1), 8.)
    q[..., 0, 0] = 7
    k[..., 0, 0] = 7
    v[..., 0, 0] = 7
    out = linear_attention(q, k, v, max_spikes=8)
    key_value = [8 * 8 * (tokens - 1) + 7 * 7]
    key_value += [8 * 8 * (tokens - 1) + 8 * 7] * (head_dim - 1)
    first = 7 * key_value[0] + 8 * sum(key_value[1:])
    assert first > 2**24 and first % 2
    assert out.dtype == torch.float64
    assert out[0, 0, 0, 0].item() == first


@pytest.mark.parametrize('tokens,dtype', [(1024, torch.float32),
                                          (1025, torch.float64)])
def test_float64_exactly_where_the_bound_is_passed(tokens, dtype):
    # 1024 tokens x 32 x 8^3 = 2^24, the last integer that is safe.
    q = k = torch.ones(1, 1, tokens, 32)
    v = torch.ones(1, 1, tokens, 1)
    assert linear_attention(q, k, v, max_spikes=8).dtype == dtype


def test_float64_stays_float64():
    x = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    assert linear_attention(x, x, x, max_spikes=1).dtype == torch.float64


def test_autocast_does_not_round_the_sums():
    torch.manual_seed(0)
    q, k, v = (counts(1, 2, 50, 8, high=8) for _ in range(3))
    expected = linear_attention(q, k, v, 8)
    assert expected.max() > 2**9  # beyond what bfloat16 holds
    with torch.autocast('cpu', torch.bfloat16):
        actual = linear_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), 8)
    assert torch.equal(actual, expected)
