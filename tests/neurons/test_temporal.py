"""The kernels over time against charge, fire and discharge in PyTorch."""

import itertools
import shutil

import pytest
import torch
from torch import nn

from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron, native

pytestmark = pytest.mark.usefixtures('compiler')

DTYPES = [torch.float32, torch.float64, torch.bfloat16]
DECAYS = [
    dict(),
    dict(decay=0.6),
    dict(decay=0.6, decay_input=True),
    dict(decay=0.7, learn_decay=True),
    dict(decay=0.7, decay_input=True, learn_decay=True),
]
RESETS = [
    dict(reset=reset, detach_reset=detach)
    for reset, detach in itertools.product(('soft', 'hard'), (True, False))
]
SURROGATES = [
    dict(max_spikes=1),
    dict(max_spikes=4),
    dict(surrogate='arctan', slope=3.),
    dict(surrogate='sigmoid', slope=3.)
]
FACTORS = (DECAYS, RESETS, SURROGATES, DTYPES)


def pairs(row):
    """Pairs of values, each with the factor that it is of."""
    return set(itertools.combinations(enumerate(row), 2))


def pairwise(*sizes):
    """Few rows of indices in which all pairs of values occur, by greed."""
    rows = list(itertools.product(*map(range, sizes)))
    left, chosen = set().union(*map(pairs, rows)), []
    while left:
        chosen.append(max(rows, key=lambda row: len(left & pairs(row))))
        left -= pairs(chosen[-1])
    return chosen


CASES = pairwise(*map(len, FACTORS))


def run(neuron, inputs, state, grad, grad_state):
    """Output, state left, and their gradients by input, state, decay."""
    inputs = inputs.detach().requires_grad_()
    leaves = [inputs]
    if state is not None:
        state = state.detach().requires_grad_()
        leaves.append(state)
    out, left = neuron.run(inputs, state)
    decay = list(neuron.parameters())
    found = torch.autograd.grad([out, left], leaves + decay,
                                [grad, grad_state])
    return [out, left, *found[:len(leaves)]], found[len(leaves):]


def both(monkeypatch, *arguments):
    """The same with the kernels, then without."""
    assert native.load(), 'see python -m mmsnn.neurons.native'
    fused = run(*arguments)
    with monkeypatch.context() as patch:
        patch.setattr(native, 'load', lambda: None)
        return fused, run(*arguments)


def random(dtype, neuron, samples=2, shape=(3, 5, 7)):
    steps = neuron.timesteps
    wide = torch.promote_types(dtype, torch.float32)
    inputs, grad = torch.randn(2, samples * steps, *shape, dtype=wide) * 2
    state, left = torch.randn(2, samples, *shape, dtype=wide)
    return inputs.to(dtype), state, grad.to(dtype), left


def test_all_pairs_of_values_are_tried():
    for a, b in itertools.combinations(range(len(FACTORS)), 2):
        tried = {(case[a], case[b]) for case in CASES}
        assert len(tried) == len(FACTORS[a]) * len(FACTORS[b])
    assert len(CASES) < 30  # of 240


@pytest.mark.parametrize('case', CASES, ids=str)
def test_bit_for_bit(monkeypatch, case):
    decay, reset, surrogate, dtype = (
        values[i] for values, i in zip(FACTORS, case))
    for threshold, offset, timesteps in ((1., 0., 3), (0.7, 0.5, 3),
                                         (1.3, 0., 1)):
        neuron = SpikingNeuron(
            scale=0.3,
            threshold=threshold,
            timesteps=timesteps,
            **decay,
            **reset,
            **surrogate)
        neuron.offset = offset
        inputs, state, *grads = random(dtype, neuron)
        for start in (None, state):
            fused, plain = both(monkeypatch, neuron, inputs, start, *grads)
            assert fused[0][0].count_nonzero()
            for i, (a, b) in enumerate(zip(fused[0], plain[0])):
                assert a.dtype == b.dtype
                if i >= 2 and 'slope' in surrogate:
                    # The exponential may differ in the last places.
                    eps = torch.finfo(dtype).eps
                    torch.testing.assert_close(
                        a, b, rtol=8 * eps, atol=8 * eps)
                else:
                    assert torch.equal(a, b)
            for a, b in zip(fused[1], plain[1]):  # a sum over all neurons
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_the_sigmoid_everywhere():
    """Against the derivative in float64."""
    for dtype in (torch.float32, torch.float64):
        u = torch.linspace(-18, 20, 4001, dtype=dtype, requires_grad=True)
        SpikingNeuron(surrogate='sigmoid')(u).sum().backward()
        e = torch.exp(-4 * (u.detach() - 1).abs().double())
        torch.testing.assert_close(
            u.grad.double(), 4 * e / (1 + e)**2,
            rtol=4 * torch.finfo(dtype).eps, atol=0)
    far = torch.tensor([-1e30, -60., 60., 1e30, torch.inf],
                       requires_grad=True)
    SpikingNeuron(surrogate='sigmoid')(far).sum().backward()
    assert far.grad.abs().max() < 1e-36


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('neuron', [
    LIFNeuron(timesteps=3, surrogate='arctan'),
    SFANeuron(timesteps=3)
])
def test_layouts_give_the_same(monkeypatch, neuron, dtype):
    inputs, state, grad, left = random(dtype, neuron)
    expected = run(neuron, inputs, state, grad, left)[0]
    for tensors in itertools.product(
            *((x, x.to(memory_format=torch.channels_last))
              for x in (inputs, state, grad, left))):
        fused, plain = both(monkeypatch, neuron, *tensors)
        for found in (fused[0], plain[0]):
            for a, b in zip(found, expected):
                assert torch.equal(a, b)
            assert found[0].stride() == tensors[0].stride()
    # Memory that no kernel takes.
    odd = inputs.transpose(2, 3).contiguous().transpose(2, 3)
    for a, b in zip(run(neuron, odd, state, grad, left)[0], expected):
        assert torch.equal(a, b)


def test_more_neurons_than_a_block_and_more_threads(monkeypatch):
    neuron = LIFNeuron(timesteps=2, decay=0.5, learn_decay=True)
    arguments = random(torch.float32, neuron, 3, (33333, ))
    one = run(neuron, *arguments)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        three = both(monkeypatch, neuron, *arguments)
    finally:
        torch.set_num_threads(threads)
    for (found, decay), rtol in zip(three, (0, 1e-5)):
        for i, (a, b) in enumerate(zip(found, one[0])):
            torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)
        torch.testing.assert_close(decay, one[1], rtol=1e-4, atol=0)


@pytest.mark.parametrize('make', [LIFNeuron, SFANeuron])
@pytest.mark.parametrize('shape', [(0, 3), (4, 0), (0, 2, 3, 3)])
def test_empty_batches(path, make, shape):
    u = torch.zeros(shape, requires_grad=True)
    out, state = make(timesteps=4).run(u)
    assert out.shape == u.shape and state.shape == (shape[0] // 4, *shape[1:])
    out.sum().backward()
    assert u.grad.shape == u.shape


def kept_bytes(neuron, inputs):
    kept = []

    def pack(x):
        kept.append(x.numel() * x.element_size())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        neuron(inputs).sum().backward()
    return sum(kept)


@pytest.mark.parametrize('dtype', DTYPES)
def test_one_byte_per_element_is_kept(dtype):
    inputs = torch.randn(8, 6, dtype=dtype, requires_grad=True)
    for keys in (dict(), dict(decay=0.5, reset='hard'),
                 dict(detach_reset=False, threshold=2.)):
        neuron = SFANeuron(timesteps=4, **keys)
        assert kept_bytes(neuron, inputs) == inputs.numel()
    # A smooth surrogate needs the potentials, computed from the input.
    assert (kept_bytes(LIFNeuron(timesteps=4),
                       inputs) == inputs.numel() * dtype.itemsize)


def test_not_finite_goes_through(path):
    inputs = torch.tensor([torch.nan, 1., torch.inf, -torch.inf])
    out, state = SFANeuron(4, timesteps=2).run(inputs)
    assert out[:2].isnan().all() and state[0].isnan()
    assert out[2:].tolist()[0] == 1.


@pytest.mark.parametrize('inplace', [False, True])
def test_inplace_where_no_gradient_is_needed(inplace):
    neuron = LIFNeuron(timesteps=2, inplace=inplace)
    inputs = torch.randn(4, 70) * 2
    expected = LIFNeuron(timesteps=2)(inputs.clone())
    for make in (torch.no_grad, torch.enable_grad):
        with make():
            u = inputs.clone()
            out = neuron(u)
        assert torch.equal(out, expected) and out.count_nonzero()
        assert (out.data_ptr() == u.data_ptr()) == inplace
    u = inputs.clone().requires_grad_()
    assert torch.equal(neuron(u), expected) and torch.equal(u, inputs)


def test_autocast_bfloat16(path):
    conv, neuron = nn.Conv2d(3, 4, 3), LIFNeuron(timesteps=2)
    with torch.autocast('cpu', torch.bfloat16):
        membrane = conv(torch.rand(4, 3, 6, 6) * 8)
        out, state = neuron.run(membrane)
        (out.float().sum() + state.sum()).backward()
    assert out.dtype == torch.bfloat16 and state.dtype == torch.float32
    expected, left = neuron.run(membrane.detach().float())
    assert torch.equal(out.float(), expected) and torch.equal(state, left)
    assert conv.weight.grad.dtype == torch.float32


@pytest.mark.skipif(
    not shutil.which('g++'), reason='torch.compile needs a C++ compiler')
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('neuron', [
    LIFNeuron(timesteps=2, learn_decay=True),
    SFANeuron(timesteps=2, threshold=0.5)
])
def test_torch_compile_forward_and_backward(neuron):
    compiled = torch.compile(neuron, fullgraph=True)
    u = torch.randn(4, 50) * 2
    a, b = u.clone().requires_grad_(), u.clone().requires_grad_()
    grad = torch.randn(u.shape)
    expected, actual = neuron(a), compiled(b)
    expected.backward(grad)
    actual.backward(grad)
    assert torch.equal(actual, expected)
    torch.testing.assert_close(b.grad, a.grad)
    with torch.no_grad():
        assert torch.equal(compiled(u), expected)


@pytest.mark.parametrize('detach', [True, False])
@pytest.mark.parametrize('reset', ['soft', 'hard'])
@pytest.mark.parametrize('surrogate', ['rectangle', 'sigmoid'])
@pytest.mark.parametrize('where', [0, 1, 2, 3])
def test_numbers_that_are_not_finite(monkeypatch, detach, reset, surrogate,
                                     where):
    # In the inputs, the state, and the gradients of both; a hard reset makes
    # NaN (a count) times a potential, and 0 times infinity.
    neuron = SpikingNeuron(
        timesteps=3, decay=0.5, reset=reset, detach_reset=detach,
        surrogate=surrogate)
    tensors = [torch.randn(n, 8) for n in (6, 2, 6, 2)]
    tensors[where].view(-1)[:15:3] = torch.tensor(
        [torch.nan, torch.inf, -torch.inf, 1e38, -1e38])
    (fused, _), (plain, _) = both(monkeypatch, neuron, *tensors)
    for a, b in zip(fused, plain):
        torch.testing.assert_close(a, b, equal_nan=True)


def test_nan_through_a_hard_reset(monkeypatch):
    # What is left of it is u[0] * (1 - c[0]), with the gradient 1 - c[0], NaN
    # by u[0]; the last time step has nothing behind it.
    neuron = SpikingNeuron(timesteps=2, reset='hard')
    for detach in (True, False):
        neuron.detach_reset = detach
        for plain in (False, True):
            u = torch.tensor([torch.nan, torch.inf], requires_grad=True)
            with monkeypatch.context() as patch:
                if plain:
                    patch.setattr(native, 'load', lambda: None)
                neuron(u).sum().backward()
            assert torch.isnan(u.grad[0]) and u.grad[1] == 0
