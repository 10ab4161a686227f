"""Batch norm over two processes, against PyTorch's over the whole batch."""

import pytest
import torch
import torch.distributed as torch_dist
from processes import run_in_processes
from torch import nn

from mmsnn.layers import SyncBatchNorm

SHAPES = dict(vectors=(5, 3), images=(5, 3, 2, 4), videos=(5, 3, 2, 2, 3))
KINDS = dict(vectors=nn.BatchNorm1d, images=nn.BatchNorm2d,
             videos=nn.BatchNorm3d)


def run(norm, shape, part):
    """Output, gradients and statistics of a part of a batch."""
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.double)[part].requires_grad_()
    weight = torch.randn(shape, dtype=torch.double)[part]
    norm = norm.double()
    nn.init.normal_(norm.weight)
    for _ in range(2):
        out = norm(x)
    (out * weight).sum().backward()
    return dict(norm.state_dict(), out=out.detach(), x=x.grad,
                grads=torch.stack([norm.weight.grad, norm.bias.grad]))


def half(kind, momentum):
    torch_dist.init_process_group('gloo')
    part = slice(0, 2) if torch_dist.get_rank() == 0 else slice(2, 5)
    return run(SyncBatchNorm(3, momentum=momentum), SHAPES[kind], part)


@pytest.mark.parametrize('kind', SHAPES)
@pytest.mark.parametrize('momentum', [0.1, None])
def test_two_processes_are_one(tmp_path, kind, momentum):
    first, second = run_in_processes(tmp_path, half, kind, momentum)
    whole = run(KINDS[kind](3, momentum=momentum), SHAPES[kind], slice(None))
    for name, x in whole.items():
        if name in ('out', 'x'):
            found = torch.cat([first[name], second[name]])
        elif name == 'grads':  # that of the sum of both losses
            found = first[name] + second[name]
        else:
            assert torch.equal(first[name], second[name])
            found = first[name]
        torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-12)


def alone():
    """One value a channel in all processes."""
    torch_dist.init_process_group('gloo')
    count = 1 - torch_dist.get_rank()
    with pytest.raises(ValueError, match='more than one value per channel'):
        SyncBatchNorm(3)(torch.ones(count, 3))


def test_too_few_values(tmp_path):
    run_in_processes(tmp_path, alone)
    with pytest.raises(ValueError, match=r'\(N, C, ...\)'):
        SyncBatchNorm(3)(torch.ones(3))
