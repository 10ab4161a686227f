"""Errors relative to each element's scale, worked out by hand."""

from math import inf, nan

import pytest
import torch

from mmsnn.conversion.tensor_error import relative_error, share_of_largest

DOUBLE = torch.float64


def error(first, second, dtype=DOUBLE):
    return relative_error(
        torch.tensor(first, dtype=dtype), torch.tensor(second, dtype=dtype),
        dtype)


@pytest.mark.parametrize('first, second, expected', [
    ([2., -4.], [2., -3.], 0.25),
    ([2., -4.], [2., -4.], 0.),
    ([0., 0.], [0., 0.5], 1.),
    ([0.5], [0.], 1.),
    ([1., inf], [1., inf], 0.),
    ([1., inf], [1., 2.], inf),
    ([1., inf], [1., -inf], inf),
    ([nan], [nan], 0.),
    ([nan], [1.], inf),
    ([5.], [4.], 0.2),
    ([0.5, -1e10], [0.4, -1e10], pytest.approx(0.2)),
    ([0.5, torch.finfo(DOUBLE).min], [0.4, torch.finfo(DOUBLE).min],
     pytest.approx(0.2)),
    # Neighbours don't matter, however many and however large they are.
    ([1e6, 2e6, 3e6, 4e6, 5e6, 0.5], [1e6, 2e6, 3e6, 4e6, 5e6, 0.625], 0.25),
    ([0., 1., 2., 3., 4.], [1e-12, 1., 2., 3., 4.], 1.),
])
def test_by_hand(first, second, expected):
    assert error(first, second) == expected


@pytest.mark.parametrize('first, second, expected', [
    ([1], [2], inf), ([3, 4], [3, 4], 0.), ([True], [True], 0.),
    ([True], [False], inf)])
def test_what_is_no_floating_point_number_is_equal_or_not(
        first, second, expected):
    assert relative_error(
        torch.tensor(first), torch.tensor(second)) == expected


@pytest.mark.parametrize('dtype', [torch.float32, DOUBLE, torch.bfloat16])
def test_the_same_in_all_types(dtype):
    assert error([2., -4.], [2., -3.], dtype) == 0.25


def test_a_shorter_type_may_differ_by_its_own_rounding():
    first = torch.tensor([1., 3.])
    second = first + torch.tensor([0., 2.**-22])  # one unit in the last place
    assert relative_error(first, second, torch.float32) > 0
    assert relative_error(first, second, DOUBLE) == 0
    assert relative_error(first, first * 1.001, DOUBLE) > 9e-4


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=DOUBLE)


@pytest.mark.parametrize('fill', [-1e10, 1e6, -1e4,
                                  torch.finfo(DOUBLE).max])
@pytest.mark.parametrize('share', [0.01, 0.5, 0.9])
def test_sentinels_hide_nothing(fill, share):
    first = numbers(50, 40)
    masked = torch.rand(50, 40, generator=torch.Generator().manual_seed(
        1)) < share
    masked[3, 5] = False
    second = first.clone()
    second[3, 5] += 1e-6
    first, second = (x.masked_fill(masked, fill) for x in (first, second))
    assert relative_error(first, second) > 1e-7


def test_a_column_of_small_numbers_is_seen():
    first = numbers(50, 40)
    first[:, 7] *= 1e-6
    second = first.clone()
    second[:, 7] *= 1.001
    assert relative_error(first, second) > 1e-6
    second = first.clone()
    second[3, 7] *= 1.01
    assert relative_error(first, second) > 1e-6


def test_a_small_tensor_is_seen():
    first = 1e-30 * numbers(50, 40)
    assert relative_error(first, first * 1.25) == pytest.approx(0.25)


def test_what_rounding_explains_is_no_difference():
    first = numbers(4, 5)
    second = first.clone()
    second[1, 2] += 1e-3
    rounding = torch.zeros(4, 5, dtype=DOUBLE)
    rounding[1, 2] = 2e-3
    assert relative_error(first, second, rounding=rounding) == 0
    assert share_of_largest(first, second, rounding) == 0
    rounding[1, 2] = 5e-4  # not even a part of it
    for measure in (relative_error, share_of_largest):
        assert measure(first, second, rounding=rounding) == measure(
            first, second) > 1e-4


def test_every_fault_of_a_share_is_seen():
    """Faults of 1e-6 of an element, whatever its size and its neighbours'."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        sizes = 10**(16 * torch.rand(20, 20, generator=generator,
                                     dtype=DOUBLE) - 8)
        first = sizes * torch.randn(
            20, 20, generator=generator, dtype=DOUBLE)
        second = first.clone()
        at = tuple(torch.randint(20, (2, ), generator=generator).tolist())
        second[at] *= 1 + 1e-6
        assert relative_error(first, second) == pytest.approx(1e-6, rel=1e-6)
