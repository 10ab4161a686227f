"""Compiled neurons call the Triton kernels, on CPU tensors here."""

import pytest
import torch

from mmsnn.neurons import LIFNeuron, SFANeuron, ops
from mmsnn.neurons.gpu import temporal


@pytest.fixture
def calls(on_cpu, monkeypatch):
    """Names of what ran of the kernels' module."""
    found = []

    def noted(name, function):

        def call(*args):
            found.append(name)
            return function(*args)

        return call

    @ops.constant_when_compiled
    def has_kernels(device, index):
        return True

    monkeypatch.setattr(ops, '_has_kernels', has_kernels)
    monkeypatch.setattr(ops, '_is_for_gpu', lambda tensor: True)
    for name in ('forward', 'backward'):
        monkeypatch.setattr(temporal, name,
                            noted(name, getattr(temporal, name)))
    torch._dynamo.reset()
    yield found
    torch._dynamo.reset()


@pytest.mark.parametrize('neuron', [
    SFANeuron(max_spikes=4, timesteps=2, decay=0.5, threshold=0.5),
    LIFNeuron(timesteps=2, learn_decay=True, surrogate='arctan')
], ids=['bytes', 'inputs'])
@pytest.mark.parametrize('last', [True, False])
def test_they_run(neuron, last, calls):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 2, 5, generator=generator) * 3 - 0.5
    state = torch.rand(2, 3, 2, 5, generator=generator)
    if last:
        x = x.to(memory_format=torch.channels_last)
    parameters = list(neuron.parameters())
    found = []
    for call in (neuron.unroll, torch.compile(neuron.run, fullgraph=True,
                                              backend='aot_eager')):
        calls.clear()
        leaves = [x.clone().requires_grad_(), state.clone().requires_grad_()]
        out, left = call(*leaves)
        assert out.stride() == x.stride()
        grads = torch.autograd.grad((out * x).sum() + (left * state).sum(),
                                    [*leaves, *parameters])
        assert all(grad.any() for grad in grads)
        found.append([out.detach(), left.detach(), *grads])
    assert calls == ['forward', 'backward']
    for one, other in zip(*found, strict=True):
        # The gradient of a decay is a sum, in another order.
        torch.testing.assert_close(one, other, rtol=1e-6 * (one.dim() == 0),
                                   atol=0)


@pytest.mark.parametrize('dtype', [
    torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_quotients_are_rounded_to_nearest(dtype, monkeypatch):
    x = torch.arange(1, 2000).to(dtype) / 16
    expected = x / 0.7
    halves = dtype in (torch.bfloat16, torch.float16)
    assert torch.equal(x * (1 / 0.7), expected) is halves
    monkeypatch.setattr(ops, '_is_for_gpu', lambda tensor: True)
    found = torch.ops.mmsnn.divide(x, 0.7)
    assert found.dtype == dtype and torch.equal(found, expected)
