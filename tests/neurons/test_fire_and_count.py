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
    threads_before, before = torch.get_num_threads(), u.clone()
    torch.set_num_threads(threads)
    try:
        values, finite, levels, reached = fire_and_count(u, 5, 0.2, reach)
    finally:
        torch.set_num_threads(threads_before)
    expected = spike_firing(u, 5, 0.2)
    assert torch.equal(values, expected)
    assert values.stride() == u.stride() and torch.equal(u, before)
    counts = (expected.double() * 5).round()
    assert finite is True
    assert levels == [int((counts >= d).sum()) for d in range(1, 6)]
    assert reached == int((counts * reach).sum())


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_told(path, value):
    u = torch.ones(2, 3, 100, 100)
    u[1, 2, 99, 98] = value
    assert fire_and_count(u, 2, 1.)[1] is False
    reach = torch.ones(100, 100, dtype=torch.float64)
    assert fire_and_count(u, 2, 1., reach)[1] is False


def test_slices_of_one_axis_and_nothing(path):
    u = torch.arange(12.).reshape(1, 3, 4)  # (N, C, L)
    reach = torch.tensor([0., 1., 10., 0.], dtype=torch.float64)
    # counts of positions 1 and 2: 1 + 2 + 2 and 2 + 2 + 2
    assert fire_and_count(u, 2, 1., reach)[3] == 5 + 10 * 6
    part = u[:, :, 1::2]
    values, _, levels, reached = fire_and_count(part, 2, 1., reach[:2])
    assert values.tolist() == [[[1., 2.], [2., 2.], [2., 2.]]]
    assert levels == [6, 5] and reached == 6
    assert fire_and_count(u[:0], 2, 1., reach)[1:] == (True, [0, 0], 0)


def test_inplace(path):
    u = torch.tensor([0.6, 1.7, 9.])
    values, _, levels, _ = fire_and_count(u, 4, 0.5, inplace=True)
    assert values.data_ptr() == u.data_ptr()
    assert u.tolist() == [0.5, 1., 2.]
    assert levels == [3, 2, 1, 1]


def test_more_spikes_than_a_byte_holds(path):
    u = torch.tensor([[[0.6, 255.6], [300., 254.]]])
    reach = torch.tensor([1., 100.], dtype=torch.float64)
    values, finite, levels, reached = fire_and_count(u, 256, 1., reach)
    # counts 1, 256, 256 (at most) and 254
    assert values.tolist() == [[[1., 256.], [256., 254.]]]
    assert levels == [4] + [3] * 253 + [2, 2]
    assert finite and reached == 257 + 100 * 510
    levels = fire_and_count(u, 255, 1.)[2]
    assert levels == [4] + [3] * 253 + [2]
