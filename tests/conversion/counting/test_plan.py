"""Counting by a plan gives what watching every op gives."""

import copy

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.layers import ESDSA, SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=3)
FORMS = ['spikes', 'counts']


def same_trace(actual, expected):
    assert actual.images == expected.images
    assert list(actual) == list(expected)


def record(spiking, *batches):
    with spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


class Net(nn.Module):
    """Padded, strided and grouped convolutions, attention, pooling."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = SpikeConv2d(
            16, 16, 3, stride=2, padding=1, groups=4, neuron=NEURON)
        self.attention = ESDSA(16, NEURON, num_heads=2)
        self.third = SpikeConv2d(16, 4, 3, padding=2, neuron=NEURON)

    def forward(self, x):
        x = self.second(self.first(x))
        return self.third(3 * (x + self.attention(x))).mean((2, 3))


def calibrated(seed=0):
    torch.manual_seed(seed)
    net = Net().train()
    for _ in range(10):
        net(2 * torch.randn(4, 3, 9, 7))
    return net.eval()


def test_same_trace_as_watching_every_op():
    net = calibrated()
    batches = [2 * torch.randn(2, 3, 9, 7) for _ in range(3)]
    batches.append(2 * torch.randn(1, 3, 12, 5))
    with to_spike_train(net, 'spikes') as watched:
        expected = [watched(x) for x in batches]
    with to_spike_train(net, 'counts') as planned:
        found = [planned(x) for x in batches]
    assert len(planned._recording._plans) == 2
    for a, b in zip(expected, found):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert watched.trace.images == planned.trace.images == 7
    assert watched.trace.total('sops') > 0
    for a, b in zip(watched.trace, planned.trace):
        assert a == b


def test_heads_that_a_product_has_to_copy_are_counted_where_they_lie():
    net = calibrated().to(memory_format=torch.channels_last)
    batches = [(2 * torch.randn(3, 3, 9, 7)).to(
        memory_format=torch.channels_last) for _ in range(3)]
    watched, counted = (to_spike_train(net, form) for form in FORMS)
    same_trace(record(counted, *batches), record(watched, *batches))
    (plan, _), = counted._recording._plans.values()
    (left, right), = [x.call[1] for x in plan._synapses if x.of_spikes]
    values = torch.rand(3, 16, 5, 4).to(memory_format=torch.channels_last)
    assert left.replay(values).data_ptr() == values.data_ptr()
    assert left.replay(values).shape == (3, 2, 8, 20)  # N, heads, n, m
    assert torch.equal(left.replay(values),  # by strides that it has kept
                       values.reshape(3, 2, 8, 20))
    assert right.replay(torch.rand(3, 64, 5, 4)).shape == (3, 2, 20, 32)


@pytest.mark.parametrize('images', [1, 3])
def test_many_calls_are_added_up_as_one_by_one(images):
    torch.manual_seed(0)
    net = nn.Sequential(SpikeLinear(3, 4, neuron=NEURON),
                        SpikeLinear(4, 2, neuron=NEURON))
    net[0].weight.data *= 4
    batches = [3 * torch.rand(images, 3) for _ in range(140)]
    watched, counted = (record(to_spike_train(net, form), *batches)
                        for form in FORMS)
    same_trace(counted, watched)
    for a, b in zip(counted, watched):
        assert a.squares == pytest.approx(b.squares, rel=1e-12)
        assert a.by_image == b.by_image
        assert len(a.by_image) == (100 if images == 1 else 0)
    assert counted.images == 140 * images


class Extremes(nn.Module):
    """The largest spike count of some neurons, or of all."""

    def __init__(self, of_all):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.neuron = SFANeuron(4)
        self.last = nn.Conv2d(4, 2, 1)
        self.of_all = of_all

    def forward(self, x):
        spikes = self.neuron(self.conv(x))
        if self.of_all:  # no dimension is left
            return self.last(spikes * spikes.max())
        return self.last(nn.functional.max_pool2d(spikes, 2))


@pytest.mark.parametrize('images', [1, 2])
@pytest.mark.parametrize('of_all', [False, True])
def test_gates_over_many_calls(of_all, images):
    torch.manual_seed(0)
    model = Extremes(of_all).eval()
    batches = [9 * torch.rand(images, 3, 6, 6) for _ in range(3)]
    watched, counted = (record(to_spike_train(model, form), *batches)
                        for form in FORMS)
    same_trace(counted, watched)
    with torch.no_grad():
        fired = [model.neuron(model.conv(batch)) * 4 for batch in batches]
    largest = (sum(f.max() for f in fired) if of_all else
               sum(nn.functional.max_pool2d(f, 2).sum() for f in fired))
    for a, b in zip(counted, watched):
        assert a.squares == pytest.approx(b.squares, rel=1e-12)
        assert a.by_image == b.by_image
    gates, = (r for r in counted if r.op.startswith('max'))
    assert sum(gates.spikes) == largest
    assert gates.in_spikes == sum(f.sum() for f in fired)


class Moody(nn.Module):
    """Does something else on dark images: no plan holds."""

    def __init__(self):
        super().__init__()
        self.neuron = SFANeuron(2)
        self.often = nn.Linear(4, 2)
        self.rarely = nn.Linear(4, 3)

    def forward(self, x):
        layer = self.often if x.sum().item() > 0 else self.rarely
        return layer(self.neuron(x))


def test_no_plan_where_values_decide():
    net = Moody()
    with to_spike_train(net, 'counts') as spiking:
        spiking(torch.ones(1, 4))
        spiking(-torch.ones(1, 4))
    assert not spiking._recording._plans
    assert [r.module for r in spiking.trace if r.kind == 'linear'
            ] == ['often', 'rarely']


class Alternating(nn.Module):
    """Runs a neuron in every other call, which no argument tells."""

    def __init__(self):
        super().__init__()
        self.neurons = nn.ModuleList([SFANeuron(2), SFANeuron(2)])
        self.fc = nn.Linear(4, 2)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.fc(self.neurons[self.calls % 2](x))


def test_a_plan_that_does_not_fit_is_not_used():
    with to_spike_train(Alternating(), 'counts') as spiking:
        for _ in range(4):
            spiking(torch.ones(1, 4))
    assert spiking.trace.images == 4
    assert spiking.trace.total('in_spikes') == 4 * 4  # round(1) = 1 each


def test_nothing_is_counted_when_a_call_fails():
    net = calibrated()
    with to_spike_train(net, 'counts') as spiking:
        spiking(torch.ones(1, 3, 9, 7))
        before = spiking.trace.total('sops')
        with pytest.raises(ValueError, match='NaN'):
            spiking(torch.full((1, 3, 9, 7), float('nan')))
        assert spiking.trace.total('sops') == before
        assert spiking.trace.images == 1
        spiking(torch.ones(1, 3, 9, 7))
        assert spiking.trace.total('sops') == 2 * before


@pytest.mark.parametrize('max_spikes', [3, 4])
def test_both_forms_count_the_same(classifiers, make_images, max_spikes):
    model = classifiers(max_spikes).double()
    images = make_images(2, dtype=torch.float64)
    traces = [record(to_spike_train(model, form), images) for form in FORMS]
    model.float()
    same_trace(*traces)
    assert traces[0].total('sops') > 0
    products = [r for r in traces[0] if r.kind == 'matmul']
    assert len(products) == 4 and all(r.sops > 0 for r in products)


def test_both_forms_count_the_same_over_batches(classifiers, make_images):
    # The second batch of a size is counted by the plan of the first.
    model = copy.deepcopy(classifiers(4)).double()
    batches = [
        make_images(2, 20, 24, seed, torch.float64) for seed in range(3)
    ] + [make_images(1, 33, 17, 9, torch.float64)]
    traces = [record(to_spike_train(model, f), *batches) for f in FORMS]
    assert traces[0].images == traces[1].images == 7
    for a, b in zip(*traces, strict=True):
        # The largest accumulator of attention is known up to the first batch.
        b.accumulator_max = a.accumulator_max
        assert a == b


class Picked(nn.Module):
    """Selects spikes by indices that depend on the image."""

    def __init__(self):
        super().__init__()
        self.neuron = SFANeuron(4)
        self.fc = nn.Linear(2, 3)

    def forward(self, x):
        best = x.topk(2, dim=1)[1]
        return self.fc(self.neuron(x).gather(1, best))


def test_indices_that_depend_on_the_image():
    batches = [
        torch.tensor([[1., 2., 0., 4.], [3., 0., 0., 1.]]),
        torch.tensor([[4., 1., 3., 1.], [0., 0., 2., 1.]])
    ]
    traces = [
        record(to_spike_train(Picked(), form), *batches) for form in FORMS
    ]
    same_trace(*traces)
    assert list(traces[1])[-1].in_spikes == (6 + 4) + (7 + 3)


class Fickle(nn.Module):
    """Does different things on the same arguments."""

    def __init__(self):
        super().__init__()
        self.first = SpikeLinear(3, 3, neuron=NEURON)
        self.second = SpikeLinear(3, 3, neuron=NEURON)
        self.mood = 'both'

    def forward(self, x):
        if self.mood == 'swapped':
            return self.first(self.second(x))
        if self.mood == 'one':
            return self.first(x)
        if self.mood == 'half':
            return self.second(self.first(x[:1]))
        x = self.second(self.first(x))
        return self.first(x) if self.mood == 'three' else x


@pytest.mark.parametrize('mood', ['swapped', 'one', 'half', 'three'])
def test_a_model_that_changes_its_mind(mood):
    net = Fickle()
    x = torch.rand(2, 3) * 4
    traces = []
    for form in FORMS:
        with to_spike_train(net, form) as spiking:
            for now in ('both', mood, 'both', mood):
                spiking.module.mood = now
                spiking(x)
        traces.append(spiking.trace)
    same_trace(*traces)
    assert traces[1].images == 8


class Choosy(nn.Module):
    """Does on real values what its keywords say."""

    def __init__(self):
        super().__init__()
        self.neuron = SFANeuron(4)

    def forward(self, x, exp=False, double=False):
        self.neuron(x)
        return x.exp() if exp is True else x * 2 if double else x


def test_keywords_make_another_call():
    traces = []
    for form in FORMS:
        with to_spike_train(Choosy(), form) as spiking:
            for keywords in (dict(exp=True), dict(double=True), dict(exp=1)):
                spiking(torch.ones(2, 3), **keywords)
        traces.append(spiking.trace)
    same_trace(*traces)
    assert traces[1].total('macs') == traces[1].total('other') == 6


class Products(nn.Module):
    """``Q (K^T V)`` whose neurons all fire D spikes on large input."""

    def __init__(self):
        super().__init__()
        self.neuron = SFANeuron(3, scale=1.)

    def forward(self, x):
        x = self.neuron(x)
        return x @ (x.transpose(-2, -1) @ x)


class Scaled(Products):
    """``(Q K^T * factor) V``."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        x = self.neuron(x)
        return (x @ x.transpose(-2, -1) * self.factor) @ x


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_width_of_accumulators_is_that_of_the_largest_sum(form):
    with to_spike_train(Products(), form) as spiking:
        for size in (.6, 9.):  # 1 spike each, then 3
            spiking(torch.full((1, 5, 2), size))
    widths = [r.accumulator_max for r in spiking.trace if r.kind == 'matmul']
    # 5 tokens of 3 x 3; then 2 channels of 3 times that.
    assert widths == [45, 270]


def test_width_of_accumulators_behind_a_factor():
    with to_spike_train(Scaled(1000.), 'counts') as spiking:
        out = spiking(torch.full((1, 3, 5), 9.))
    large = [r.accumulator_max for r in spiking.trace if r.kind == 'matmul']
    # 5 channels of 3 x 3, times 1000; then 3 tokens of 3 times that.
    assert large == [45, 405_000] and out.max() == 405_000
    with to_spike_train(Scaled(0.01), 'counts') as spiking:
        spiking(torch.full((1, 3, 5), 9.))
    small = [r.accumulator_max for r in spiking.trace if r.kind == 'matmul']
    assert small == [45, 405]  # a chip may have the factor in a threshold


def test_empty_batches_add_nothing():
    net = nn.Sequential(SFANeuron(), nn.Conv2d(2, 3, 2), SFANeuron(),
                        nn.MaxPool2d(2), nn.Conv2d(3, 1, 1)).eval()
    found = []
    for sizes in ((0, 2, 0, 2, 0), (2, 2)):
        with to_spike_train(net, 'counts') as spiking:
            for size in sizes:
                spiking(2 * torch.ones(size, 2, 5, 5))
        trace = spiking.trace
        found.append((trace.images, trace.total('sops'),
                      trace.total('emitted'), trace.total('adds')))
    assert found[0] == found[1]
    assert found[0][0] == 4
