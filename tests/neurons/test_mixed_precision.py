"""Neurons in float16 and bfloat16: what is rounded, scaled gradients."""

import pytest
import torch
from torch import nn

from mmsnn.layers import conv_norm
from mmsnn.models import ESpikeFormer
from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron

NEURONS = dict(
    sfa=SFANeuron(max_spikes=4),
    scaled=SFANeuron(max_spikes=4, scale=8., threshold=0.25),
    over_time=SFANeuron(max_spikes=4, timesteps=2),
    lif=LIFNeuron(timesteps=2, threshold=0.5),
    arctan=SpikingNeuron(timesteps=2, surrogate='arctan', slope=8.,
                         threshold=0.125),
    learnt=SpikingNeuron(timesteps=2, decay=0.5, learn_decay=True),
    hard=SpikingNeuron(timesteps=2, reset='hard', detach_reset=False))


@pytest.mark.parametrize('name', list(NEURONS))
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_types_fire_as_float32_on_the_same_membranes(name, dtype):
    # All thresholds here are powers of two: nothing is rounded.
    neuron = NEURONS[name]
    torch.manual_seed(0)
    membrane = (torch.randn(2048) * 3).to(dtype)
    with torch.no_grad():
        spikes, wide = neuron(membrane), neuron(membrane.float())
    assert spikes.dtype == dtype and wide.unique().numel() > 1
    assert torch.equal(spikes, wide.to(dtype))


def test_potentials_over_a_threshold_are_rounded_in_a_half_type():
    # 0.17480469 / 0.35 = 0.49944, whose neighbours in bfloat16 are 0.498 and
    # 0.5: one spike, and none in float32. Over time it is kept in float32.
    membrane = torch.tensor([0.17480469], dtype=torch.bfloat16)
    assert membrane.item() == 0.1748046875
    neuron = SFANeuron(max_spikes=4, scale=1., threshold=0.35)
    assert neuron(membrane).item() == 1
    assert neuron(membrane.float()).item() == 0
    neuron = SFANeuron(max_spikes=4, scale=1., threshold=0.35, timesteps=2)
    assert neuron(membrane.repeat(2)).tolist() == [0, 1]
    assert neuron(membrane.float().repeat(2)).tolist() == [0, 1]


@pytest.mark.parametrize('name', list(NEURONS))
def test_scaled_gradients_overflow_to_infinity(name):
    """And to nothing else: then GradScaler leaves the step out."""
    neuron = NEURONS[name]
    torch.manual_seed(0)
    membrane = (torch.randn(512) * 2).half()
    grad = (torch.randn(512) * 2e4).half()
    found = []
    for dtype in (torch.float16, torch.float64):
        x = membrane.detach().to(dtype).requires_grad_()
        neuron(x).backward(grad.to(dtype))
        found.append(x.grad)
    half, exact = found
    beyond = exact.abs() > 65520  # rounded to infinity from here
    overflows = name in ('scaled', 'arctan', 'lif')
    assert bool(beyond.any()) == overflows
    assert torch.equal(half.isinf(), beyond)
    torch.testing.assert_close(half[~beyond].double(), exact[~beyond],
                               rtol=2e-3, atol=1e-3 * 2e4)


def training(scale, factor=1.):
    """A model, and what does a step of a loss times a factor, with gradients
    that are scaled."""
    torch.manual_seed(0)
    model = ESpikeFormer(
        dict(embed_dims=[8, 12, 16, 20], depths=[1, 0, 0, 1, 0],
             num_heads=2), out_indices=3).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0, 1)
    optimiser = torch.optim.SGD(model.parameters(), lr=1 / factor)
    scaler = torch.amp.GradScaler('cpu', init_scale=scale)
    images = torch.randn(2, 3, 32, 32)

    def step():
        with torch.autocast('cpu', torch.float16):
            out, = model(images)
        scaler.scale((out.float()**2).mean() * factor).backward()
        scaler.step(optimiser)
        scaler.update()

    return model, scaler, step


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_step_whose_gradients_overflow_is_left_out():
    model, scaler, step = training(2.**32)
    before = weights(model)
    step()
    assert torch.equal(weights(model), before)
    assert scaler.get_scale() == 2.**31


def test_a_small_loss_with_a_scale_is_a_large_one():
    small, changes = 2.**-20, []
    for factor, scale in ((1., 1.), (small, 1 / small), (small, 1.)):
        model, _, step = training(scale, factor)
        start = weights(model)
        step()
        changes.append(weights(model) - start)
    large, scaled, plain = changes
    assert large.isfinite().all() and torch.equal(scaled, large)
    # What is below 6e-8 is 0 in float16.
    assert plain.count_nonzero() < large.count_nonzero()


def test_counts_under_autocast_are_those_of_the_rounded_membranes():
    torch.manual_seed(0)
    layer = conv_norm(4, 6, 3).eval()
    neuron = SFANeuron(max_spikes=4, scale=1.)
    x = torch.randn(2, 4, 8, 8) * 3
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        membrane = layer(x)
        counts = neuron(membrane)
    assert membrane.dtype == counts.dtype == torch.bfloat16
    exact = (membrane.double() + 0.5).floor().clamp(0, 4)
    assert torch.equal(counts.double(), exact) and exact.unique().numel() > 2
