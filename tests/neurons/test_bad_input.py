"""Tensors that no neuron takes: a sentence each."""

import pytest
import torch

from mmsnn.neurons import (
    LIFNeuron,
    SFANeuron,
    fire_and_count,
    integrate_and_fire,
    is_finite,
    spike_count,
    spike_firing,
    spikes_per_substep,
)
from mmsnn.neurons.surrogate import smooth_firing

TAKERS = [
    SFANeuron(),
    SFANeuron(threshold=2.),
    SFANeuron(timesteps=2),
    LIFNeuron(),
    lambda u: spike_count(u, 4),
    lambda u: spike_firing(u, 4),
    lambda u: integrate_and_fire(u, 4),
    lambda u: fire_and_count(u, 4, 1.),
    lambda u: smooth_firing(u, 0., 'arctan', 2.),
]


@pytest.mark.parametrize('take', TAKERS)
@pytest.mark.parametrize('dtype', [
    torch.int64, torch.uint8, torch.bool, torch.complex64,
    torch.float8_e4m3fn
], ids=str)
def test_types_that_hold_no_potentials(take, dtype):
    name = str(dtype).removeprefix('torch.')
    with pytest.raises(TypeError, match=f'must be of the type float64.* but '
                       f'is of {name}: convert it, e.g. by .float'):
        take(torch.zeros(2, 2, dtype=dtype))


@pytest.mark.parametrize('take', TAKERS)
@pytest.mark.parametrize('sparse', [
    torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr
])
def test_sparse_tensors(take, sparse):
    with pytest.raises(TypeError, match='must be a dense tensor, but its '
                       'layout is torch.sparse_(coo|csr): convert it by '
                       r'\.to_dense'):
        take(sparse(torch.eye(2)))


@pytest.mark.parametrize('count', [
    is_finite, lambda x: spikes_per_substep(x, 4),
    lambda x: fire_and_count(x, 4, 1.)
])
def test_meta_tensors_have_nothing_to_count(count):
    with pytest.raises(ValueError, match='on the device meta has no values'):
        count(torch.zeros(2, device='meta'))


def test_a_state_on_another_device():
    with pytest.raises(ValueError, match='the state is on the device meta, '
                       'but the membrane potential on cpu: move'):
        SFANeuron(timesteps=2).run(
            torch.zeros(4, 3), torch.zeros(2, 3, device='meta'))


def test_a_decay_on_another_device():
    neuron = LIFNeuron(timesteps=2, learn_decay=True)
    with pytest.raises(ValueError, match='neuron.decay_logit is on the device '
                       'cpu, but the membrane potential on meta: move'):
        neuron(torch.zeros(4, 3, device='meta'))


def test_more_than_255_spikes_are_exact():
    u = torch.tensor([-1., 255.6, 300.4, 1000.], requires_grad=True)
    spikes = SFANeuron(max_spikes=512, scale=1.)(u)
    spikes.sum().backward()
    assert spikes.tolist() == [0., 256., 300., 512.]
    assert u.grad.tolist() == [0., 1., 1., 0.]
