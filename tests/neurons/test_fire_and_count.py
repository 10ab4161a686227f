"""Firing and counting in one pass, against doing it step by step."""

import math

import pytest
import torch

from mmsnn.neurons import fire_and_count, spike_firing

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


@pytest.mark.parametrize('threads', [1, 2])
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('channels_last', [False, True])
def test_values_levels_and_reach(path, dtype, channels_last, threads):
    torch.manual_seed(0)
    u = (3 * torch.randn(3, 7, 61, 67)).to(dtype)  # more than one slice
    if channels_last:
        u = u.to(memory_format=torch.channels_last)
    reach = torch.randint(0, 50, (61, 67), dtype=torch.float64)
    levels = torch.tensor([10, 0, 0, 5, 0])
    threads_before, before = torch.get_num_threads(), u.clone()
    torch.set_num_threads(threads)
    try:
        values, finite, reached = fire_and_count(u, 5, 0.2, levels, reach)
    finally:
        torch.set_num_threads(threads_before)
    expected = spike_firing(u, 5, 0.2)
    assert torch.equal(values, expected)
    assert values.stride() == u.stride() and torch.equal(u, before)
    counts = (expected.double() * 5).round()
    assert finite is True
    assert (levels - torch.tensor([10, 0, 0, 5, 0])).tolist() == [
        int((counts >= d).sum()) for d in range(1, 6)
    ]
    assert reached == int((counts * reach).sum())


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_told(path, value):
    u = torch.ones(2, 3, 100, 100)
    u[1, 2, 99, 98] = value
    levels = torch.zeros(2, dtype=torch.int64)
    assert fire_and_count(u, 2, 1., levels)[1] is False
    reach = torch.ones(100, 100, dtype=torch.float64)
    assert fire_and_count(u, 2, 1., levels, reach)[1:] == (False, 0)


def test_slices_of_one_axis_and_nothing(path):
    levels = torch.zeros(2, dtype=torch.int64)
    u = torch.arange(12.).reshape(1, 3, 4)  # (N, C, L)
    reach = torch.tensor([0., 1., 10., 0.], dtype=torch.float64)
    # counts of positions 1 and 2: 1 + 2 + 2 and 2 + 2 + 2
    assert fire_and_count(u, 2, 1., levels, reach)[2] == 5 + 10 * 6
    part = u[:, :, 1::2]
    values, _, reached = fire_and_count(part, 2, 1., levels, reach[:2])
    assert values.tolist() == [[[1., 2.], [2., 2.], [2., 2.]]]
    assert reached == 6
    assert fire_and_count(u[:0], 2, 1., levels, reach)[1:] == (True, 0)


def test_inplace(path):
    levels = torch.zeros(4, dtype=torch.int64)
    u = torch.tensor([0.6, 1.7, 9.])
    values = fire_and_count(u, 4, 0.5, levels, inplace=True)[0]
    assert values.data_ptr() == u.data_ptr()
    assert u.tolist() == [0.5, 1., 2.]
    assert levels.tolist() == [3, 2, 1, 1]
