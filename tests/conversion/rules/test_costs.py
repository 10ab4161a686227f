"""What ops on real values cost, each by hand."""

from fractions import Fraction

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
    torch.manual_seed(0)
    x = torch.rand(*shape)
    with to_spike_train(Then(function)) as spiking:
        assert torch.equal(spiking(x), function(x))
    found = [r for r in spiking.trace if r.kind != 'neuron']
    kinds = dict.fromkeys(r.kind for r in found)
    totals = {a: sum(getattr(r, a) for r in found) for a in AMOUNTS}
    return (' '.join(kinds) or None), {
        k: v for k, v in totals.items() if v
    }


ZEROS = torch.zeros(2, 4, 6, 6, dtype=torch.int64)
WINDOWS_6_4 = 2 + 2 + 2 + 2

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
    # A factor that is not 1 costs a product.
    (lambda x: torch.add(x, x, alpha=0.3), 'add', dict(adds=288, macs=288)),
    (lambda x: torch.sub(x, x, alpha=2), 'add', dict(adds=288, macs=288)),
    (lambda x: torch.rsub(x, x, alpha=2), 'add', dict(adds=288, macs=288)),
    (lambda x: torch.addcmul(x, x, x), 'real', dict(macs=288)),
    (lambda x: torch.addcmul(x, x, x, value=2), 'real', dict(macs=576)),
    (lambda x: torch.addcdiv(x, x, x + 1), 'add real',
     dict(adds=288 + 288, other=288)),
    (lambda x: torch.addcdiv(x, x, x + 1, value=2), 'add real',
     dict(adds=288 + 288, other=288, macs=288)),
    (lambda x: torch.lerp(x, x, 0.3), 'real', dict(adds=288, macs=288)),
    (lambda x: x**2, 'real', dict(macs=288)),
    (lambda x: x**3, 'real', dict(macs=576)),
    (lambda x: x**0.3, 'real', dict(other=288)),
    # 4 products of 6 x 6 with 6 x 6, and as many sums as outputs
    (lambda x: torch.baddbmm(x[0], x[0], x[1]), 'matmul',
     dict(macs=4 * 216, adds=144)),
    (lambda x: torch.baddbmm(x[0], x[0], x[1], beta=.5, alpha=.3), 'matmul',
     dict(macs=4 * 216 + 144 + 144, adds=144)),
    (lambda x: torch.baddbmm(x[0], x[0], x[1], beta=0), 'matmul',
     dict(macs=4 * 216)),
    (lambda x: torch.addbmm(x[0, 0], x[0], x[1]), 'matmul',
     dict(macs=4 * 216, adds=36)),
    (lambda x: torch.addmv(x[0, 0, 0], x[0, 0], x[0, 0, 0], alpha=2),
     'matmul', dict(macs=36 + 6, adds=6)),
    (lambda x: torch.addr(x[0, 0], x[0, 0, 0], x[0, 0, 0]), 'matmul',
     dict(macs=36, adds=36)),
    (lambda x: torch.mv(x[0, 0], x[0, 0, 0]), 'matmul', dict(macs=36)),
    (lambda x: torch.dot(x[0, 0, 0], x[0, 0, 0]), 'matmul', dict(macs=6)),
    (lambda x: torch.outer(x[0, 0, 0], x[0, 0, 0]), 'real', dict(macs=36)),
    (lambda x: torch.einsum('ij,kj->ik', x[0, 0], x[0, 1]), 'matmul',
     dict(macs=216)),
    # 2 x 3 x 6 x 6 products of a and b, each with a weight
    (lambda x: F.bilinear(x[:, 0, 0], x[:, 0, 1], x[0, :3]), 'matmul',
     dict(macs=2 * 2 * 3 * 36)),
    # softmax(q k^T / sqrt 6) v on 8 maps of 6 tokens of 6 channels
    (lambda x: F.scaled_dot_product_attention(x, x, x), 'matmul',
     dict(macs=288 * 13, adds=288, other=576)),
    (lambda x: torch.linalg.cross(x[..., :3], x[..., :3]), 'real',
     dict(macs=288)),
    (lambda x: x.cumsum(1), 'add', dict(adds=288)),
    (lambda x: x.cumprod(1), 'real', dict(macs=288)),
    (lambda x: x.logcumsumexp(1), 'real', dict(adds=288, other=576)),
    (lambda x: x.logsumexp(1), 'real', dict(adds=288, other=288 + 72)),
    (lambda x: x.log_softmax(1), 'real', dict(adds=576, other=288 + 72)),
    # mean, deviation, square, mean of squares; the root
    (lambda x: x.var(1), 'real', dict(adds=576, macs=288, other=2 * 72)),
    (lambda x: x.std(1), 'real', dict(adds=576, macs=288, other=3 * 72)),
    (lambda x: torch.var_mean(x, 1)[0], 'real',
     dict(adds=576, macs=288, other=2 * 72)),
    (lambda x: x.norm(dim=1), 'real', dict(macs=288, other=72)),
    (lambda x: x.norm(1, dim=1), 'real', dict(comparisons=288, adds=288)),
    (lambda x: x.norm(torch.inf, dim=1), 'real', dict(comparisons=576)),
    (lambda x: x.norm(3, dim=1), 'real',
     dict(comparisons=288, adds=288, other=288 + 72)),
    # 4 x 36 pairs, 6 differences each
    (lambda x: torch.cdist(x[0], x[0]), 'real',
     dict(adds=864, macs=864, other=144)),
    (lambda x: torch.cdist(x[0], x[0], p=1), 'real',
     dict(adds=2 * 864, comparisons=864)),
    (lambda x: F.pdist(x[0, 0]), 'real', dict(adds=90, macs=90, other=15)),
    (lambda x: F.prelu(x, x[0, :, 0, 0]), 'real',
     dict(comparisons=288, macs=288)),
    (lambda x: F.leaky_relu(x), 'real', dict(comparisons=288, macs=288)),
    (lambda x: F.glu(x), 'real', dict(other=144, macs=144)),
    # writes that add
    (lambda x: x.index_add(1, torch.tensor([0, 0]), x[:, :2]), 'add',
     dict(adds=144)),
    (lambda x: x.index_add(1, torch.tensor([0, 0]), x[:, :2], alpha=2),
     'add', dict(adds=144, macs=144)),
    (lambda x: x.scatter_add(1, ZEROS[:1], x), 'add', dict(adds=144)),
    (lambda x: x.scatter(1, ZEROS[:1], x, reduce='add'), 'add',
     dict(adds=144)),
    (lambda x: x.scatter_reduce(1, ZEROS, x, 'prod'), 'real',
     dict(macs=288)),
    (lambda x: x.scatter_reduce(1, ZEROS, x, 'amax'), 'real',
     dict(comparisons=288)),
    (lambda x: x.scatter_reduce(1, ZEROS, x, 'mean'), 'add',
     dict(adds=288, other=288)),
    (lambda x: x.clone().index_put_(
        (torch.tensor([0, 0, 1]), ), x[:1], accumulate=True), 'add',
     dict(adds=3 * 144)),
    (lambda x: torch.ops.aten.index_put_(
        x.clone(), [None, torch.tensor([[0], [1]]), torch.tensor([1, 2])],
        x[0, 0, 0, 0], True), 'add', dict(adds=2 * 4 * 6)),
    (lambda x: x.index_put((torch.tensor([0]), ), x[:1]), None, {}),
    (lambda x: x.put(torch.tensor([0, 0]), x[0, 0, 0, :2], accumulate=True),
     'add', dict(adds=2)),
    (lambda x: x.masked_scatter(x.bool(), x), None, {}),
    (lambda x: F.unfold(x, 2), None, {}),
    (lambda x: F.fold(F.unfold(x, 2), 6, 2), 'add',
     dict(adds=2 * 4 * 4 * 25)),
    (lambda x: F.embedding_bag(ZEROS[0, 0], x[0, 0]), 'add',
     dict(adds=36 * 6, other=36)),
    # sums over windows of 2 channels, a square, and a power
    (lambda x: F.local_response_norm(x, 2), 'real pool add',
     dict(macs=576, adds=576 + 288, other=3 * 288)),
    # n log2 n complex numbers: 2 products and 3 additions each; half if real
    (lambda x: torch.fft.fft(x[..., :4] + 0j).real, 'add real',
     dict(macs=2 * 192 * 2, adds=3 * 192 * 2 + 2 * 192)),
    (lambda x: torch.fft.irfft(x[..., :3] + 0j), 'add real',
     dict(macs=192 * 2 + 192, adds=192 * 3 + 2 * 144)),  # 1 / n each
    (lambda x: torch.fft.rfft(x[..., :4]).real, 'real',
     dict(macs=192 * 2, adds=192 * 3)),
    (lambda x: x.exp(), 'real', dict(other=288)),
    (lambda x: x.sigmoid(), 'real', dict(other=288)),
    (lambda x: x.relu(), 'real', dict(comparisons=288)),
    (lambda x: x.clamp(0, 1), 'real', dict(comparisons=288)),
    (lambda x: x.amax(1), 'real', dict(comparisons=288)),
    (lambda x: torch.stack(x.aminmax(dim=1)), 'real', dict(comparisons=576)),
    (lambda x: torch.stack(x.aminmax()), 'real', dict(comparisons=576)),
    (lambda x: x.argmax(1), 'real', dict(comparisons=288)),
    (lambda x: x.softmax(1), 'real', dict(adds=288, other=576)),
    # 288 x ceil(log2 289)
    (lambda x: x.flatten().sort()[0], 'real', dict(comparisons=288 * 9)),
    # rows of 6: 3 comparisons find a place among them
    (lambda x: x.sort(-1)[0], 'real', dict(comparisons=288 * 3)),
    (lambda x: x.argsort(1), 'real', dict(comparisons=288 * 3)),
    (lambda x: x.topk(2, 0)[0], 'real', dict(comparisons=288 * 2)),
    (lambda x: x.kthvalue(2)[0], 'real', dict(comparisons=288 * 3)),
    (lambda x: x.median(-1)[0], 'real', dict(comparisons=288 * 3)),
    (lambda x: x.median(), 'real', dict(comparisons=288 * 9)),
    (lambda x: x.nanmedian(), 'real', dict(comparisons=288 * 9)),
    # 8 rows and 36 columns make 288 pairs.
    (lambda x: F.mse_loss(x.view(8, 36)[:, :1], x.view(8, 36)[:1],
                          reduction='none'), 'real',
     dict(adds=288, macs=288)),
    (lambda x: x.msort(), 'real', dict(comparisons=288 * 2)),
    (lambda x: x.flatten().unique(), 'real', dict(comparisons=288 * 9)),
    (lambda x: x.flatten().unique_consecutive(), 'real',
     dict(comparisons=288)),
    (lambda x: torch.isin(x, x[0]), 'real', dict(comparisons=432 * 9)),
    (lambda x: torch.searchsorted(torch.arange(5.), x), 'real',
     dict(comparisons=288 * 3)),
    (lambda x: torch.bucketize(x, torch.arange(5.)), 'real',
     dict(comparisons=288 * 3)),
    (lambda x: x.histc(3), 'real',
     dict(comparisons=576, adds=576, macs=288)),
    (lambda x: x.bool().flatten().int().bincount(), 'add', dict(adds=288)),
    (lambda x: x.count_nonzero(), 'real', dict(comparisons=288, adds=288)),
    (lambda x: x.nonzero(), 'real', dict(comparisons=288)),
    (lambda x: F.max_pool2d(x, 2), 'pool', dict(comparisons=72 * 3)),
    (lambda x: F.max_pool2d(x, (3, 2), 1), 'pool',
     dict(comparisons=2 * 4 * 4 * 5 * 5)),
    (lambda x: F.avg_pool2d(x, 2), 'pool', dict(adds=288, other=72)),
    (lambda x: F.avg_pool2d(x, (2, 3)), 'pool', dict(adds=288, other=48)),
    (lambda x: F.adaptive_avg_pool2d(x, 3), 'pool',
     dict(adds=288, other=72)),
    (lambda x: F.max_pool3d(x, 2), 'pool', dict(comparisons=36 * 7)),
    (lambda x: F.max_pool1d(x[0], 2), 'pool', dict(comparisons=72)),
    (lambda x: F.avg_pool1d(x[0], 2), 'pool', dict(adds=144, other=72)),
    # windows overlap where 6 does not divide: 0-1, 1-2, 3-4, 4-5
    (lambda x: F.adaptive_avg_pool2d(x, 4), 'pool',
     dict(adds=8 * WINDOWS_6_4**2, other=8 * 16)),
    (lambda x: F.adaptive_max_pool2d(x, 4), 'pool',
     dict(comparisons=8 * (WINDOWS_6_4**2 - 16))),
    (lambda x: F.adaptive_avg_pool2d(x[..., :2, :2], 4), 'pool',
     dict(adds=8 * 16, other=8 * 16)),
    (lambda x: F.adaptive_avg_pool3d(x, 2), 'pool',
     dict(adds=288, other=2 * 8)),
    (lambda x: F.adaptive_avg_pool1d(x[0], 4), 'pool',
     dict(adds=24 * WINDOWS_6_4, other=24 * 4)),
    (lambda x: F.adaptive_max_pool3d(x, 2), 'pool',
     dict(comparisons=288 - 16)),
    (lambda x: F.fractional_max_pool2d(x, 2, output_size=3), 'pool',
     dict(comparisons=72 * 3)),
    (lambda x: F.interpolate(x, scale_factor=2, mode='bilinear'),
     'interpolate', dict(macs=4 * 4 * 288)),
    (lambda x: F.interpolate(x, scale_factor=2, mode='bicubic'),
     'interpolate', dict(macs=16 * 4 * 288)),
    (lambda x: F.interpolate(x[0], scale_factor=2, mode='linear'),
     'interpolate', dict(macs=2 * 288)),
    (lambda x: F.interpolate(x[:, None], size=(4, 6, 5), mode='trilinear'),
     'interpolate', dict(macs=8 * 240)),
    # 6 to 2: a filter 6 wide, cut at the border, on 4 positions an axis
    (lambda x: F.interpolate(x, size=2, mode='bilinear', antialias=True),
     'interpolate', dict(macs=8 * (4 + 4)**2)),
    (lambda x: F.grid_sample(x, x[:, :3, :, :2], align_corners=False),
     'interpolate', dict(macs=4 * 2 * 4 * 18)),
    (lambda x: F.grid_sample(x, x[:, :3, :, :2], mode='bicubic',
                             align_corners=False), 'interpolate',
     dict(macs=16 * 2 * 4 * 18)),
    (lambda x: F.grid_sample(x, x[:, :3, :, :2], mode='nearest',
                             align_corners=False), None, {}),
    (lambda x: F.grid_sample(x[None], x[None, :, :3, :, :3],
                             align_corners=False), 'interpolate',
     dict(macs=8 * 2 * 2 * 18)),
    (lambda x: F.affine_grid(x[:, 0, :2, :3], (2, 1, 4, 5)), 'real',
     dict(macs=2 * 20 * 2 * 3)),
    (lambda x: F.interpolate(x, scale_factor=2), None, {}),
    (lambda x: F.interpolate(x, scale_factor=2, mode='nearest-exact'), None,
     {}),
    (lambda x: F.layer_norm(x, (6, )), 'norm', dict(macs=3 * 288)),
    (lambda x: F.group_norm(x, 2), 'norm', dict(macs=3 * 288)),
    (lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)), 'norm',
     dict(macs=288)),
    # One function, three names: statistics of each channel of each image.
    (lambda x: F.group_norm(x, 4), 'norm', dict(macs=3 * 288)),
    (lambda x: F.instance_norm(x), 'norm', dict(macs=3 * 288)),
    (lambda x: F.batch_norm(x[:1], None, None, training=True), 'norm',
     dict(macs=3 * 144)),
    (lambda x: x.reshape(8, 36).t().contiguous(), None, {}),
    (lambda x: torch.cat([x, x], 1)[:, ::2], None, {}),
    (lambda x: F.pad(x, (1, 1)), None, {}),
    (lambda x: F.dropout(x, 0.5, training=False), None, {}),
    (lambda x: x.permute(0, 2, 3, 1)[..., [0, 2]], None, {}),
])
def test_cost_by_hand(function, kind, amounts):
    assert cost(function, *SHAPE) == (kind, amounts)


@pytest.mark.parametrize('size, outputs', [
    (5, 4), (7, 3), (2, 4), (6, 6), (9, 2), (3, 7)])
@pytest.mark.parametrize('kind', [F.adaptive_avg_pool1d,
                                  F.adaptive_max_pool1d])
def test_windows_of_adaptive_pooling(size, outputs, kind):
    """An input is in a window if it can change that window's result."""
    x = torch.eye(size, dtype=torch.float64)[:, None]
    elements = int((F.adaptive_avg_pool1d(x, outputs) > 0).sum())
    _, found = cost(lambda y: kind(y, outputs), 1, 3, size)
    if kind is F.adaptive_avg_pool1d:
        assert found == dict(adds=3 * elements, other=3 * outputs)
    else:
        windows = 3 * (elements - outputs)
        assert found == (dict(comparisons=windows) if windows else {})


@pytest.mark.parametrize('before, after', [
    (7, 2), (7, 5), (6, 3), (6, 4), (5, 7), (4, 9), (8, 8)])
@pytest.mark.parametrize('mode, radius', [('bilinear', 1), ('bicubic', 2)])
def test_support_of_antialiased_interpolation(before, after, mode, radius):
    """Inputs nearer to an output than its filter is wide."""

    def resize(x):
        return F.interpolate(x, size=(after, 3), mode=mode, antialias=True)

    step = Fraction(before, after)
    reach = radius * max(step, Fraction(1))
    number = wide = 0
    for i in range(after):
        for j in range(before):
            number += abs(step * (2 * i + 1) - (2 * j + 1)) < 2 * reach
    for i in range(3):
        for j in range(3):
            wide += abs(i - j) < radius
    _, found = cost(resize, 1, 2, before, 3)
    assert found == dict(macs=2 * number * wide)
    if mode == 'bilinear':  # as many as there are weights
        x = torch.eye(before).view(before, 1, before, 1).repeat(1, 1, 1, 3)
        weights = resize(x)[..., 0].abs() > 1e-6
        assert int(weights.sum()) == number


def total(layer, *inputs):
    """Amounts of a module on real values."""

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron, self.layer = SFANeuron(), layer

        def forward(self, *x):
            self.neuron(x[0])
            return self.layer(*x)

    with to_spike_train(Net().eval(), 'counts') as spiking:
        spiking(*inputs)
    return {a: sum(getattr(r, a) for r in spiking.trace) for a in AMOUNTS[:4]}


def test_an_lstm_costs_the_same_in_one_op_and_in_many():
    """In float32 it is one op of a library, in float64 its parts."""
    torch.manual_seed(0)
    layer, x = nn.LSTM(6, 3, 2, bidirectional=True), torch.rand(4, 2, 6)
    one, many = total(layer, x), total(layer.double(), x.double())
    assert one == many
    # 4 steps of 2 rows and 2 directions, 4 gates of 3 states each; inputs
    # of 6 in both layers; 3 products, 13 additions, 5 functions a state
    states = 4 * 2 * 2 * 3 * 2
    assert one == dict(macs=states * (4 * 9 + 3), adds=states * 13,
                       comparisons=0, other=states * 5)


def test_attention_costs_the_same_in_one_op_and_in_many():
    attention = nn.MultiheadAttention(6, 2, batch_first=True)

    class Needs(nn.Module):

        def __init__(self, weights):
            super().__init__()
            self.attention, self.weights = attention, weights

        def forward(self, x):
            return self.attention(x, x, x, need_weights=self.weights)

    x = torch.rand(2, 4, 6)
    one, many = total(Needs(False), x), total(Needs(True), x)
    # Four projections; 2 x 2 heads of 4 x 4 pairs: 3 + 3 products and a
    # factor, which the other form applies to the 48 numbers of q instead.
    assert one['macs'] == 4 * 8 * 36 + 64 * 7
    assert many['macs'] == 4 * 8 * 36 + 64 * 6 + 48
    assert one['other'] == 2 * 64 == many['other'] - 32  # weights, averaged
