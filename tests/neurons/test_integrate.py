"""The IF neuron with soft reset, sub-step by sub-step."""

import math

import pytest
import torch

from mmsnn.neurons import integrate_and_fire, spike_count


def potentials(dtype, max_spikes):
    """Numbers around all halves and integers, and random ones."""
    centres = torch.arange(-2, 2 * max_spikes + 4).to(dtype) / 2
    far = torch.tensor(math.inf, dtype=dtype)
    return torch.cat([
        centres,
        torch.nextafter(centres, far),
        torch.nextafter(centres, -far),
        torch.tensor([-0., 1e30, -1e30], dtype=dtype),
        (torch.randn(500) * max_spikes).to(dtype)
    ])


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32,
                                   torch.bfloat16])
@pytest.mark.parametrize('max_spikes', [1, 3, 4, 8])
def test_proposition_1(path, dtype, max_spikes):
    # The recurrence fires in sub-step d where the count is d or more.
    u = potentials(dtype, max_spikes)
    train = integrate_and_fire(u, max_spikes)
    assert len(train) == max_spikes
    for d, spikes in enumerate(train, 1):
        assert spikes.dtype == dtype
        assert torch.equal(spikes, (u.double() >= d - 0.5).to(dtype))
    assert torch.equal(sum(train), spike_count(u, max_spikes))


def test_by_hand(path):
    # u + 1/2 = 2.2: fires, 1.2 is left; fires, 0.2 is left; silent.
    train = integrate_and_fire(torch.tensor([1.7, 0.4]), 3)
    assert [s.tolist() for s in train] == [[1, 0], [1, 0], [0, 0]]


def test_classical_neurons_start_at_the_potential(path):
    # 2.2: fires, 1.2 is left; fires, 0.2 is left; silent. 1: fires at once.
    train = integrate_and_fire(torch.tensor([2.2, 1., 0.9]), 3, offset=0.)
    assert [s.tolist() for s in train] == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize('threads', [1, 2])
def test_long_tensors_layouts_and_slices(path, threads):
    torch.manual_seed(0)
    u = 3 * torch.randn(2, 8, 97, 101)
    threads_before, before = torch.get_num_threads(), u.clone()
    torch.set_num_threads(threads)
    try:
        for x in (u, u.to(memory_format=torch.channels_last), u[:, ::2],
                  u[:0]):
            train = integrate_and_fire(x, 2)
            assert torch.equal(sum(train), spike_count(x, 2))
            assert torch.equal(train[0], (x >= 0.5).float())
    finally:
        torch.set_num_threads(threads_before)
    assert torch.equal(u, before)
