"""``torch.autograd.grad(is_grads_batched=True)``, as jacobians take it."""

import pytest
import torch

from mmsnn.neurons import LIFNeuron, SFANeuron

pytestmark = pytest.mark.filterwarnings('ignore:There is a performance drop')

NEURONS = {
    'static': SFANeuron(),
    'over time': SFANeuron(timesteps=2, decay=0.5),
    'smooth': LIFNeuron(),
    'learnt decay': LIFNeuron(timesteps=2, learn_decay=True),
}


def check(neuron):
    """A batch of gradients gives what each of them gives."""
    draw = torch.Generator().manual_seed(0)
    u = torch.randn(4, 3, generator=draw).mul_(2).requires_grad_()
    inputs = [u, *neuron.parameters()]
    grads = torch.randn(5, 4, 3, generator=draw)
    wanted = zip(*(torch.autograd.grad(neuron(u), inputs, g) for g in grads))
    wanted = [torch.stack(x) for x in wanted]
    found = torch.autograd.grad(
        neuron(u), inputs, grads, is_grads_batched=True)
    spikes = neuron(u)
    mapped = torch.func.vmap(lambda g: torch.autograd.grad(
        spikes, inputs, g, retain_graph=True))(grads)
    for want, *got in zip(wanted, found, mapped):
        assert want.any()
        for x in got:
            torch.testing.assert_close(x, want, rtol=0, atol=0)


@pytest.mark.parametrize('name', NEURONS)
def test_each_as_alone(path, name):
    check(NEURONS[name])


def test_jacobian_by_hand(path):
    u = torch.tensor([-1., 1., 9.])
    found = torch.autograd.functional.jacobian(
        SFANeuron(scale=0.5), u, vectorize=True)
    assert found.tolist() == [[0, 0, 0], [0, 0.5, 0], [0, 0, 0]]
