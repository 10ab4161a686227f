"""The effective rank of matrices whose singular values are known."""

import math

import pytest
import torch

from mmsnn.engine.effective_rank import effective_rank


def test_equal_directions_and_one_direction():
    assert effective_rank(torch.eye(5)) == pytest.approx(5, abs=1e-12)
    assert effective_rank(3 * torch.eye(7, 4)) == pytest.approx(4, abs=1e-12)
    row = torch.tensor([[1., -2., 3.]])
    one = torch.tensor([[1.], [0.], [5.], [-2.]]) @ row
    assert effective_rank(one) == pytest.approx(1, abs=1e-5)
    assert effective_rank(torch.zeros(3, 2)) == 0


def test_by_hand():
    # Singular values 3 and 1: p = 3/4, 1/4; turned, they stay what they are.
    expected = math.exp(.75 * math.log(4 / 3) + .25 * math.log(4))
    values = torch.diag(torch.tensor([3., 1.], dtype=torch.float64))
    turn, _ = torch.linalg.qr(torch.randn(6, 2, dtype=torch.float64))
    assert effective_rank(values) == pytest.approx(expected, abs=1e-12)
    assert effective_rank(turn @ values) == pytest.approx(expected, abs=1e-12)
    assert effective_rank(7 * values.half()) == pytest.approx(expected)


def test_what_is_no_matrix_of_numbers():
    with pytest.raises(ValueError, match=r'the shape is \(2, 3, 4\)'):
        effective_rank(torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match=r'the shape is \(0, 3\)'):
        effective_rank(torch.ones(0, 3))
    with pytest.raises(ValueError, match='NaN or infinite'):
        effective_rank(torch.tensor([[1., math.nan]]))
