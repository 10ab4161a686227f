"""What fires is counted by kernels as it is in PyTorch."""

import pytest
import torch
from oracles.edge_numbers import DTYPES, edges, same

from mmsnn.neurons import (
    fire_and_count,
    is_finite,
    spikes_in_substeps,
    spikes_per_substep,
)


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_counts_of_finite_numbers(plainly, dtype):
    for most, scale in ((1, 1.), (4, 0.25), (100, 1 / 3), (128, 1.)):
        u = edges(dtype, most)
        u = u[u.isfinite()]
        found = fire_and_count(u, most, scale)
        wanted = plainly(fire_and_count, u, most, scale)
        assert same(found[0], wanted[0]) and found[1:] == wanted[1:]
        assert found[1] and found[2][0] >= found[2][-1] > 0
        assert found[2] == spikes_per_substep(found[0], most, scale)
        assert found[2] == plainly(spikes_per_substep, found[0], most, scale)


def test_by_hand(on_cpu):
    u = torch.tensor([[[0.4, 1.], [2., 3.]]])
    reach = torch.tensor([2., 5.], dtype=torch.float64)
    values, finite, levels, reached = fire_and_count(u, 2, 0.5, reach)
    assert values.tolist() == [[[0., 0.5], [1., 1.]]]
    assert (finite, levels, reached) == (True, [3, 2], 2 * 2 + 5 * (1 + 2))
    assert values is not u
    assert fire_and_count(u, 2, 0.5, inplace=True)[0] is u
    counts = torch.tensor([0., 1., 1., 3.])
    assert spikes_per_substep(counts, 4) == [3, 1, 1, 0]
    found = spikes_in_substeps(counts, 4)
    assert found.tolist() == [3, 1, 1, 0] and found.dtype is torch.int64


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('bad', [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_not_finite(on_cpu, dtype, bad):
    u = torch.zeros(5000, dtype=dtype)
    u[0] = torch.finfo(dtype).max
    assert is_finite(u) and fire_and_count(u, 4, 0.25)[1]
    u[4321] = bad
    assert not is_finite(u) and not fire_and_count(u, 4, 0.25)[1]


@pytest.mark.parametrize('lay', [
    lambda x: x, lambda x: x.to(memory_format=torch.channels_last),
    lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    lambda x: x.permute(2, 0, 1, 3).contiguous().permute(1, 2, 0, 3),
    lambda x: torch.cat([x, x])[::2]
], ids=['first', 'last', 'permuted', 'rows first', 'gaps'])
def test_reach_in_any_layout(plainly, lay):
    x = lay(torch.randn(2, 3, 40, 17) * 3)
    reach = torch.randint(0, 2**40, (40, 17)).double()
    values, *found = fire_and_count(x, 4, 0.25, reach)
    wanted, *counted = plainly(fire_and_count, x, 4, 0.25, reach)
    assert torch.equal(values, wanted) and found == counted
    assert found[-1] > 2**31


def test_more_than_one_round_of_programs(plainly, monkeypatch):
    u = torch.randn(9000) * 3
    for long in (2**30, 1):
        monkeypatch.setattr('mmsnn.neurons.gpu.device._LONG', long)
        found = fire_and_count(u, 4, 1.)
        assert found[1:] == plainly(fire_and_count, u, 4, 1.)[1:]


def test_nothing_to_count(on_cpu):
    u = torch.zeros(0, 3)
    assert is_finite(u) and spikes_per_substep(u, 3) == [0, 0, 0]
    assert fire_and_count(u, 2, 1.)[1:] == (True, [0, 0], 0)


def test_more_spikes_than_are_counted_by_kernels(plainly):
    u = torch.tensor([0., 300., 255.6, 2.])
    found = fire_and_count(u, 256, 1.)
    assert found[2] == [3, 3] + [2] * 254
    assert found[1:] == plainly(fire_and_count, u, 256, 1.)[1:]
