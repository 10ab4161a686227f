"""The quotient by a tensor is the quotient by a number."""

import pytest
import torch
from oracles.edge_numbers import DTYPES, edges, same

from mmsnn.neurons.quotient import _by_tensor, quotient


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_by_tensor(dtype):
    x = torch.cat([edges(dtype, 40), torch.randn(2000).to(dtype)])
    for threshold in (0.7, 1.3, 1e-3):
        u, v = (x.clone().requires_grad_() for _ in range(2))
        found, wanted = _by_tensor(u, threshold), v / threshold
        assert same(found, wanted) and same(quotient(x, threshold), wanted)
        grads = torch.autograd.grad(found, u, x) + torch.autograd.grad(
            wanted, v, x)
        assert same(*grads)


def test_the_inverse_would_round_twice():
    x = torch.randn(2000)
    assert not torch.equal(x * (1 / 0.7), quotient(x, 0.7))
