"""What ops on real values cost, each by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import to_spike_train
from mmsnn.neurons import SFANeuron

AMOUNTS = ('macs', 'adds', 'comparisons', 'other', 'sops')


class Then(nn.Module):
    """An op on real values, and a neuron after it."""

    def __init__(self, function):
        super().__init__()
        self.neuron = SFANeuron()
        self.function = function

    def forward(self, x):
        out = self.function(x)
        self.neuron(x)
        return out


def cost(function, *shape):
    x = torch.rand(*shape)
    with to_spike_train(Then(function)) as spiking:
        assert torch.equal(spiking(x), function(x))
    found = [r for r in spiking.trace if r.kind != 'neuron']
    kinds = {r.kind for r in found}
    assert len(kinds) <= 1
    totals = {a: sum(getattr(r, a) for r in found) for a in AMOUNTS}
    return (kinds.pop() if kinds else None), {
        k: v for k, v in totals.items() if v
    }


# x has 2 x 4 x 6 x 6 = 288 elements
SHAPE = (2, 4, 6, 6)


@pytest.mark.parametrize('function,kind,amounts', [
    (lambda x: x + x, 'add', dict(adds=288)),
    (lambda x: x - 1, 'add', dict(adds=288)),
    (lambda x: x[:, :1] + x, 'add', dict(adds=288)),
    (lambda x: x.sum(1), 'add', dict(adds=288)),
    (lambda x: x.mean((2, 3)), 'add', dict(adds=288, other=8)),
    (lambda x: x * 2, 'real', dict(macs=288)),
    (lambda x: x / 3, 'real', dict(other=288)),
    (lambda x: x // 3, 'real', dict(other=288)),
    (lambda x: x.prod(1), 'real', dict(macs=288)),
    # 4 products of 6 x 6 with 6 x 6, and as many sums as outputs
    (lambda x: torch.baddbmm(x[0], x[0], x[1]), 'matmul',
     dict(macs=4 * 216, adds=144)),
    (lambda x: x.exp(), 'real', dict(other=288)),
    (lambda x: x.sigmoid(), 'real', dict(other=288)),
    (lambda x: x.relu(), 'real', dict(comparisons=288)),
    (lambda x: x.clamp(0, 1), 'real', dict(comparisons=288)),
    (lambda x: x.amax(1), 'real', dict(comparisons=288)),
    (lambda x: x.argmax(1), 'real', dict(comparisons=288)),
    (lambda x: x.softmax(1), 'real', dict(adds=288, other=576)),
    # 288 x ceil(log2 289)
    (lambda x: x.flatten().sort()[0], 'real', dict(comparisons=288 * 9)),
    (lambda x: x.flatten().unique(), 'real', dict(comparisons=288 * 9)),
    (lambda x: x.nonzero(), 'real', dict(comparisons=288)),
    (lambda x: F.max_pool2d(x, 2), 'pool', dict(comparisons=72 * 3)),
    (lambda x: F.max_pool2d(x, (3, 2), 1), 'pool',
     dict(comparisons=2 * 4 * 4 * 5 * 5)),
    (lambda x: F.avg_pool2d(x, 2), 'pool', dict(adds=288, other=72)),
    (lambda x: F.avg_pool2d(x, (2, 3)), 'pool', dict(adds=288, other=48)),
    (lambda x: F.adaptive_avg_pool2d(x, 3), 'pool',
     dict(adds=288, other=72)),
    (lambda x: F.max_pool3d(x, 2), 'pool', dict(comparisons=36 * 7)),
    (lambda x: F.interpolate(x, scale_factor=2, mode='bilinear'),
     'interpolate', dict(macs=4 * 4 * 288)),
    (lambda x: F.interpolate(x, scale_factor=2, mode='bicubic'),
     'interpolate', dict(macs=16 * 4 * 288)),
    (lambda x: F.interpolate(x, scale_factor=2), None, {}),
    (lambda x: F.interpolate(x, scale_factor=2, mode='nearest-exact'), None,
     {}),
    (lambda x: F.layer_norm(x, (6, )), 'norm', dict(macs=3 * 288)),
    (lambda x: F.group_norm(x, 2), 'norm', dict(macs=3 * 288)),
    (lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)), 'norm',
     dict(macs=288)),
    (lambda x: x.reshape(8, 36).t().contiguous(), None, {}),
    (lambda x: torch.cat([x, x], 1)[:, ::2], None, {}),
    (lambda x: F.pad(x, (1, 1)), None, {}),
    (lambda x: F.dropout(x, 0.5, training=False), None, {}),
    (lambda x: x.permute(0, 2, 3, 1)[..., [0, 2]], None, {}),
])
def test_cost_by_hand(function, kind, amounts):
    assert cost(function, *SHAPE) == (kind, amounts)
