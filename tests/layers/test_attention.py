"""Attention against its definition, written naively (quadratic in tokens)."""

from contextlib import nullcontext

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmsnn.layers import ESDSA, SDSA3, LinearPairESDSA

SFA4 = dict(type='mmsnn.SFANeuron', max_spikes=4)
RELU = dict(type='ReLU')


def by_definition(attention, x, fire, levels=1, factor=None, last=None):
    """Paper, section 3.3: ``(q k^T) v`` of values, which are what ``fire``
    gives over ``levels``. Counts are multiplied first, so that a membrane on
    a rounding tie is one here too. ``last`` fires behind the products."""
    heads = attention.num_heads
    n, channels, height, width = x.shape

    def split(y):
        return y.reshape(n, heads, -1, height * width).transpose(-2, -1)

    # Scales are rounded to float32.
    scale = torch.tensor(1 / levels, dtype=torch.float32).double()
    spikes = fire(x) * scale
    query, key, value = (
        split(fire(branch(spikes)))
        for branch in (attention.query, attention.key, attention.value))
    scores = torch.einsum('nhtc,nhsc->nhts', query, key)
    out = torch.einsum('nhts,nhsc->nhtc', scores, value)
    out = out * (factor or 2 * (channels / heads)**-0.5) / levels**3
    out = out.transpose(-2, -1).reshape(n, -1, height, width)
    return attention.proj((last or fire)(out) * scale)


def randomised(attention, seed=0):
    """Weights and norms under which every neuron fires now and then."""
    generator = torch.Generator().manual_seed(seed)
    attention = attention.double().eval()
    for name, parameter in attention.named_parameters():
        shape = parameter.shape
        new = torch.rand(shape, generator=generator, dtype=torch.float64)
        if name.endswith('bias'):
            new = new * 2
        elif parameter.dim() > 1:
            new = new - 0.4
        parameter.data = new
    return attention


def sfa(max_spikes, threshold=1.):

    def fire(u):
        return sum((u / threshold >= d - 0.5).double()
                   for d in range(1, max_spikes + 1))

    return fire


@pytest.mark.parametrize('max_spikes', [1, 4, 6])
@pytest.mark.parametrize('num_heads', [1, 2, 8])
def test_definition(max_spikes, num_heads):
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=max_spikes)
    attention = randomised(ESDSA(16, neuron, num_heads, value_ratio=3))
    x = torch.rand(2, 16, 5, 3, dtype=torch.float64) * max_spikes
    with torch.no_grad():
        expected = by_definition(
            attention, x, sfa(max_spikes), max_spikes)
        actual = attention(x)
    assert expected.std() > 0.01  # something fired
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('max_spikes', [1, 4, 6])
@pytest.mark.parametrize('kind,ratio', [(LinearPairESDSA, 1), (SDSA3, 0.5)])
def test_definition_of_the_variants(kind, ratio, max_spikes):
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=max_spikes)
    attention = randomised(kind(16, neuron, num_heads=2))
    x = torch.rand(2, 16, 5, 3, dtype=torch.float64) * max_spikes
    with torch.no_grad():
        expected = by_definition(
            attention, x, sfa(max_spikes), max_spikes, factor=1 / 8,
            last=sfa(max_spikes, ratio))
        actual = attention(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def lif(threshold=1.):
    """One time step: the input is halved, a spike at the threshold."""
    return lambda u: (u / 2 >= threshold).to(u)


def test_definition_of_sdsa_with_lif():
    attention = randomised(SDSA3(16, dict(type='mmsnn.LIFNeuron'), 2))
    x = torch.rand(2, 16, 5, 3, dtype=torch.float64) * 4
    with torch.no_grad():
        expected = by_definition(
            attention, x, lif(), factor=1 / 8, last=lif(0.5))
        actual = attention(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_surrogate_of_the_lower_threshold():
    # The published slope 4 is over the membrane potential v in front of the
    # threshold 1/2. Products are 8 v, so v = 1/2 is reached at 4.
    neuron = SDSA3(8, dict(type='mmsnn.LIFNeuron'), 2).attention_neuron
    assert (neuron.threshold, neuron.slope) == (4, 2)
    products = torch.tensor([3., 7.5], dtype=torch.float64,
                            requires_grad=True)
    neuron(products).sum().backward()
    v = products.detach() / 8 / 2  # the input is halved
    s = torch.sigmoid(4 * (v - 0.5))
    torch.testing.assert_close(products.grad, 4 * s * (1 - s) / 16)


def test_time_steps_do_not_mix_but_in_neurons():
    # An IF neuron with T = 2 whose input is zero in the second step.
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=4)
    over_time = randomised(ESDSA(8, dict(neuron, timesteps=2), num_heads=2))
    static = ESDSA(8, neuron, num_heads=2).double().eval()
    static.load_state_dict(over_time.state_dict())
    x = torch.rand(3, 2, 8, 4, 4, dtype=torch.float64) * 4
    with torch.no_grad():
        out = over_time(x.flatten(0, 1)).unflatten(0, (3, 2))
        first = static(x[:, 0])
    torch.testing.assert_close(out[:, 0], first)
    assert not torch.allclose(out[:, 1], static(x[:, 1]))


def test_definition_of_the_relu_twin():
    attention = randomised(ESDSA(16, RELU, num_heads=4))
    x = torch.randn(2, 16, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        expected = by_definition(attention, x, torch.relu)
        actual = attention(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_gradient_of_the_definition():
    # Inside the window the gradient of the factors must come out as if the
    # values, not the counts, had been multiplied.
    attention = randomised(ESDSA(8, SFA4, num_heads=2))
    torch.manual_seed(0)
    x = torch.rand(1, 8, 3, 3, dtype=torch.float64) * 4
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()

    class Window(torch.autograd.Function):

        @staticmethod
        def forward(ctx, u):
            ctx.save_for_backward((u >= 0) & (u <= 4))
            return sfa(4)(u) / 4

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0] / 4

    weight = torch.rand(1, 8, 3, 3, dtype=torch.float64)
    (by_definition(attention, a, Window.apply) * weight).sum().backward()
    (attention(b) * weight).sum().backward()
    assert a.grad.abs().max() > 1e-3
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-10, atol=1e-12)


def test_scale_and_threshold_of_the_config_reach_the_attention():
    config = dict(SFA4, threshold=0.5, scale=0.5)
    attention = randomised(ESDSA(8, config, num_heads=2))
    torch.manual_seed(0)
    x = torch.rand(1, 8, 4, 4, dtype=torch.float64) * 2
    with torch.no_grad():
        expected = by_definition(attention, x, sfa(4, 0.5), levels=2)
        actual = attention(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_output_type_under_autocast_is_that_of_the_other_branches():
    attention = ESDSA(8, SFA4, num_heads=2)
    x = torch.rand(1, 8, 4, 4) * 4
    with torch.autocast('cpu', torch.bfloat16):
        out = attention(x)
        out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert torch.isfinite(attention.query.conv.weight.grad).all()


@pytest.mark.parametrize('num_heads', [0, 3, -2])
def test_heads_must_divide_channels(num_heads):
    with pytest.raises(
            ValueError, match=f'num_heads = {num_heads} does not divide'):
        ESDSA(16, SFA4, num_heads)


@pytest.mark.parametrize('kind', [ESDSA, LinearPairESDSA, SDSA3])
@pytest.mark.parametrize('neuron', [SFA4, RELU], ids=['SFA', 'ReLU'])
def test_channels_last_computes_the_same(neuron, kind):
    attention = randomised(kind(16, neuron, num_heads=4))
    x = torch.rand(2, 16, 5, 3, dtype=torch.float64) * 4
    with torch.no_grad():
        expected = attention(x)
        actual = attention(x.to(memory_format=torch.channels_last))
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    assert actual.is_contiguous(memory_format=torch.channels_last)
    assert expected.is_contiguous()


@pytest.mark.parametrize('changed', [False, True])
def test_gradients_where_a_hook_changes_the_counts(changed):
    """The bytes that are kept are those of counts only."""
    attention = randomised(ESDSA(8, SFA4, num_heads=2)).float()
    if changed:
        attention.key_neuron.register_forward_hook(
            lambda module, args, out: out + 0.25)
    x = torch.rand(2, 8, 3, 3) * 4
    gradients = []
    for mode in (nullcontext(), FlopCounterMode(display=False)):
        x = x.detach().requires_grad_()
        with mode:  # the second runs plain operations
            out = attention(x)
        (out**2).sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)
    assert gradients[0].abs().max() > 0.1
