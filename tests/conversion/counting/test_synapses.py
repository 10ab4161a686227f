"""Spikes at synapses, against brute force: every spike, every target."""

import copy
import itertools

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.layers import linear_attention
from mmsnn.neurons import SFANeuron

FORMS = ['spikes', 'counts']


def record(module, x, form, max_spikes=3, dtype=None):
    """Record of the synapse behind a neuron, and the counts it gets."""
    neuron = SFANeuron(max_spikes)
    with to_spike_train(nn.Sequential(neuron, module), form, dtype) as net:
        out = net(x)
    _, synapse = net.trace
    return synapse, neuron(x) * max_spikes, out


def reached(module, shape):
    """For each input element, how many output elements it reaches: one
    element at a time through the module with all weights one."""
    module = copy.deepcopy(module).double()
    module.weight.data.fill_(1.)
    if module.bias is not None:
        module.bias.data.fill_(0.)
    targets = torch.zeros(shape[1:], dtype=torch.float64)
    with torch.no_grad():
        for index in itertools.product(*map(range, shape[1:])):
            one = torch.zeros(1, *shape[1:], dtype=torch.float64)
            one[(0, *index)] = 1
            targets[index] = module(one).count_nonzero()
    return targets


CONVS = [
    (nn.Conv2d(4, 6, 3), 7, 6),
    (nn.Conv2d(4, 6, 3, padding=1), 5, 4),
    (nn.Conv2d(4, 6, 3, stride=2, padding=1), 7, 6),
    (nn.Conv2d(4, 6, 3, padding=2, dilation=2, bias=False), 6, 5),
    (nn.Conv2d(4, 6, (5, 2), stride=(1, 3), padding=(2, 1)), 5, 7),
    (nn.Conv2d(4, 6, 3, padding=1, groups=2), 5, 5),
    (nn.Conv2d(4, 4, 7, padding=3, groups=4, bias=False), 5, 3),
    (nn.Conv2d(4, 8, 3, groups=4, stride=3), 8, 8),
    (nn.Conv2d(4, 6, 1), 4, 3),
    (nn.Conv2d(4, 6, 1, stride=2), 5, 5),
    (nn.Conv2d(4, 6, 5, padding='same'), 5, 6),
    (nn.ConvTranspose2d(4, 6, 2, stride=2), 4, 3),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), 4, 5),
    (nn.ConvTranspose2d(4, 6, 3, padding=1, dilation=2, groups=2), 5, 6),
    (nn.ConvTranspose2d(4, 4, 2, stride=3, groups=4, bias=False), 3, 3),
]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('module,height,width', CONVS, ids=str)
def test_convolutions(form, module, height, width):
    x = torch.randn(3, 4, height, width) * 2
    found, counts, out = record(module, x, form)
    expected = (counts * reached(module, x.shape)).sum()
    assert found.kind == 'conv' and found.spiking
    assert found.sops == expected > 0
    assert found.macs == found.other == found.comparisons == 0
    assert found.adds == (out.numel() if module.bias is not None else 0)
    assert found.in_spikes == counts.sum()
    assert found.in_elements == x.numel()
    assert found.rate == pytest.approx(counts.mean().item(), rel=1e-6)
    assert found.max_spikes == 3
    weights = sum(p.numel() for p in module.parameters())
    assert found.weight_bytes == 4 * weights
    # output elements x fan-in, whether padded or not
    fan = module.weight.shape[1:].numel()
    transposed = isinstance(module, nn.ConvTranspose2d)
    assert found.dense_ops == (x if transposed else out).numel() * fan


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('module,shape', [
    (nn.Conv1d(3, 5, 3, padding=1, stride=2), (2, 3, 8)),
    (nn.Conv3d(2, 3, 2, padding=1), (1, 2, 3, 2, 3))], ids=str)
def test_other_numbers_of_axes(form, module, shape):
    x = torch.randn(shape) * 2
    found, counts, _ = record(module, x, form)
    assert found.sops == (counts * reached(module, shape)).sum() > 0


def test_a_convolution_by_hand():
    # 3 x 3 with padding 1: a corner reaches 4 outputs, an edge 6, the
    # middle 9, in each of 2 channels; the counts are 4, 1, 2.
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 0, 0], x[0, 0, 0, 1], x[0, 0, 1, 1] = 9., 1.2, 2.
    found, *_ = record(nn.Conv2d(1, 2, 3, padding=1), x, 'spikes', 4)
    assert found.sops == 2 * (4 * 4 + 1 * 6 + 2 * 9)
    assert found.in_spikes == 7
    assert found.dense_ops == 2 * 9 * 9


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(5, 6), (2, 4, 6), (2, 2, 3, 6)])
def test_linear(form, bias, shape):
    x = torch.randn(shape) * 2
    found, counts, out = record(nn.Linear(6, 7, bias=bias), x, form)
    assert found.kind == 'linear' and found.spiking
    assert found.sops == 7 * counts.sum() > 0
    assert found.dense_ops == x.numel() * 7
    assert found.weight_bytes == 4 * (42 + 7 * bias)
    if len(shape) == 2:
        assert found.adds == out.numel() * bias


@pytest.mark.parametrize('max_spikes', [3, 4, 5, 7])
def test_sops_are_exact_integers_in_every_type(max_spikes):
    # Many channels at one position: sums beyond what bfloat16 holds, and
    # counts / 3 is no binary fraction.
    x = torch.rand(4, 700, 3, 3) * max_spikes
    x = x.bfloat16().float()
    conv = nn.Conv2d(700, 1, 3, padding=1)
    for form, dtype in itertools.product(
            FORMS, [torch.float64, torch.float32, torch.bfloat16]):
        found, counts, _ = record(conv, x, form, max_spikes, dtype)
        targets = torch.tensor([[4., 6, 4], [6, 9, 6], [4, 6, 4]])
        expected = (counts.double().round() * targets).sum()
        assert found.sops == expected, (form, dtype)


class Products(nn.Module):
    """``Q (K^T V)``, each behind a neuron that emits counts."""

    def __init__(self, max_spikes):
        super().__init__()
        self.q, self.k, self.v = (
            SFANeuron(max_spikes, scale=1.) for _ in range(3))
        self.max_spikes = max_spikes

    def forward(self, q, k, v):
        return linear_attention(
            self.q(q), self.k(k), self.v(v), self.max_spikes)


@pytest.mark.parametrize('form', FORMS)
def test_attention_products_by_simulation(form):
    heads, tokens, dim, wide, most = 2, 5, 3, 4, 3
    q, k, v = (
        torch.randn(2, heads, tokens, c) * 2 for c in (dim, dim, wide))
    model = Products(most)
    with to_spike_train(model, form) as spiking:
        out = spiking(q, k, v)
    first, second = [r for r in spiking.trace if r.kind == 'matmul']

    q, k, v = (n(x).long() for n, x in zip((model.q, model.k, model.v),
                                           (q, k, v)))
    additions = [0, 0]
    result = torch.zeros_like(out)
    for b, h in itertools.product(range(2), range(heads)):
        store = [[0] * wide for _ in range(dim)]
        for t, i in itertools.product(range(tokens), range(dim)):
            for _ in range(k[b, h, t, i]):  # a spike of K selects V's row
                for j in range(wide):
                    if v[b, h, t, j]:  # adding zero is no addition
                        store[i][j] += int(v[b, h, t, j])
                        additions[0] += 1
        for t, i in itertools.product(range(tokens), range(dim)):
            for _ in range(q[b, h, t, i]):  # a spike of Q, a row of K^T V
                for j in range(wide):
                    result[b, h, t, j] += store[i][j]
                    additions[1] += 1
    assert torch.equal(out, result)
    assert [first.sops, second.sops] == additions
    assert min(additions) > 0
    assert first.macs == second.macs == 0
    assert first.in_spikes == k.sum() and second.in_spikes == q.sum()
    dense = 2 * heads * tokens * dim * wide
    assert first.dense_ops == second.dense_ops == dense
    # K^T V reaches tokens x D x D.
    assert first.accumulator_max == tokens * most * most


@pytest.mark.parametrize('form', FORMS)
def test_spikes_on_the_right(form):
    # Real weights times spikes: each spike adds a column.
    class Right(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron(3)
            self.weight = nn.Parameter(torch.randn(1, 5, 4))

        def forward(self, x):
            return torch.bmm(self.weight, self.neuron(x))

    x = torch.randn(1, 4, 6) * 2
    with to_spike_train(Right(), form) as spiking:
        spiking(x)
    found = list(spiking.trace)[-1]
    assert found.spiking and found.sops == 5 * found.in_spikes > 0


def test_real_inputs_cost_macs_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(120, 2),
        SFANeuron())
    with to_spike_train(net) as spiking:
        spiking(torch.randn(2, 3, 5, 6))
    conv, linear, _ = spiking.trace
    # 2 images x 4 channels x 30 positions, each 3 x 9 products and a bias
    assert (conv.macs, conv.adds, conv.sops) == (240 * 27, 240, 0)
    assert (linear.macs, linear.adds, linear.sops) == (2 * 240, 4, 0)
    assert not conv.spiking and not linear.spiking
    assert conv.input_shape == (2, 3, 5, 6)
    assert conv.output_shape == (2, 4, 5, 6)
    assert conv.dense_ops == conv.macs


def attention_by_real_values(x):
    return torch.bmm(x, x.transpose(1, 2))


def test_a_product_of_real_values_costs_macs():

    class Real(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron()

        def forward(self, x):
            return self.neuron(attention_by_real_values(x))

    with to_spike_train(Real()) as spiking:
        spiking(torch.randn(2, 3, 4))
    product, _ = spiking.trace
    assert (product.kind, product.spiking) == ('matmul', False)
    assert product.macs == 2 * 3 * 4 * 3
