"""What each op of a trace has read, and what the first run is sampled for."""

import numpy as np
import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpTrace

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2)
FORMS = ['spikes', 'counts']


def record(model, *batches, form='counts'):
    with to_spike_train(model.eval(), form) as spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


def edges(trace):
    """By module and op: those of what it has read."""
    names = [f'{r.module}:{r.op}' for r in trace]
    return {
        name: [names[s] if isinstance(s, int) else s for s in sources]
        for name, sources in zip(names, trace.sources())
    }


class Block(nn.Module):
    """Residual, concatenation, pooling, interpolation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 1)
        self.neuron = SFANeuron(2)
        self.a = nn.Conv2d(2, 2, 1)
        self.b = SpikeConv2d(4, 3, 1, neuron=NEURON)
        self.late = SFANeuron(2)

    def forward(self, x):
        x = self.stem(x)
        s = self.neuron(x)
        x = x + self.a(s)
        x = torch.cat([x, nn.functional.avg_pool2d(x, 1)], 1)
        x = x.reshape(x.shape[0], 4, -1, 1).transpose(2, 3)
        x = self.b(nn.functional.interpolate(x, scale_factor=2,
                                             mode='bilinear'))
        return self.late(x[:, :2]).mean((2, 3))


@pytest.mark.parametrize('form', FORMS)
def test_edges_go_through_what_is_free(form):
    found = edges(record(Block(), torch.rand(1, 1, 4, 4), form=form))
    assert found == {
        'stem:convolution': ['input'],
        'neuron:neuron': ['stem:convolution'],
        'a:convolution': ['neuron:neuron'],
        '(model):add': ['stem:convolution', 'a:convolution'],
        '(model):avg_pool2d': ['(model):add'],
        '(model):upsample_bilinear2d': ['(model):add', '(model):avg_pool2d'],
        'b.neuron:neuron': ['(model):upsample_bilinear2d'],
        'b:convolution': ['b.neuron:neuron'],
        'late:neuron': ['b:convolution'],
        '(model):mean': ['late:neuron'],
    }


class Foreign(nn.Module):
    """Leaves PyTorch and comes back; constants are no foreigners."""

    def __init__(self):
        super().__init__()
        self.fc = SpikeLinear(2, 2, neuron=NEURON)
        self.kept = [torch.ones(2)]  # neither parameter nor buffer

    def forward(self, x):
        x = x + (self.kept[0] * x.new_tensor([1., 2.]) * torch.tensor([1., 0.]
                                                                      ))
        x = torch.from_numpy(2 * x.numpy())
        return self.fc(x)


def test_what_nothing_seen_has_made_is_unknown():
    found = edges(record(Foreign(), torch.ones(1, 2)))
    assert found['(model):add'] == ['input', '(model):mul']
    assert [k for k, v in found.items() if 'unknown' in v] == [
        'fc.neuron:neuron']
    assert found['fc.neuron:neuron'] == ['unknown']


class Writes(nn.Module):

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.neuron = SFANeuron(2)

    def forward(self, x):
        both = x.new_zeros(len(x), 4)
        both[:, :2] = self.first(x)
        both[:, 2:].copy_(self.second(x))
        both += 1
        return self.neuron(both)


def test_writing_in_place():
    found = edges(record(Writes(), torch.ones(1, 2)))
    assert found['(model):add_'] == ['first:addmm', 'second:addmm']
    assert found['neuron:neuron'] == ['(model):add_']


def test_edges_of_a_plan_and_of_a_file(tmp_path):
    model, batch = Block(), torch.rand(1, 1, 4, 4)
    spiking = to_spike_train(model.eval(), 'counts')
    with spiking:
        spiking(batch)
    once = spiking.trace
    with spiking:  # sampled anew, then counted by the plan
        for _ in range(3):
            spiking(batch)
    trace = spiking.trace
    assert trace.sources() == once.sources()
    trace.save(tmp_path / 'trace.json')
    loaded = OpTrace.load(tmp_path / 'trace.json')
    assert loaded.sources() == trace.sources()
    assert loaded.statistics == trace.statistics
    assert loaded.image_shapes == {(1, 4, 4): 3}
    assert OpTrace.merged([loaded, once]).sources() == trace.sources()
    assert [r.sampled for r in loaded if r.spiking and r.kind == 'conv'
            ] == [1, 1]


@pytest.mark.parametrize('form', FORMS)
def test_substeps_by_hand(form):
    # Counts 2, 1, 0: in sub-step 1 the first two fire, in 2 the first.
    conv = SpikeConv2d(1, 5, 3, padding=1, neuron=NEURON)
    x = torch.tensor([[[[2., 1., 0., 0.]]]])
    _, found = record(conv, x, form=form)
    # A border position reaches 2 outputs per channel, others 3.
    assert found.substep_sops == [5 * (2 + 3), 5 * 2]
    assert found.touched == [5 * 3, 5 * 2]
    assert (found.sops, found.synapses, found.weights) == (35, 5 * 10, 45)
    assert found.geometry == dict(
        kernel=[3, 3], stride=[1, 1], padding=[1, 1], dilation=[1, 1],
        groups=1, transposed=False)


@pytest.mark.parametrize('form', FORMS)
def test_substeps_of_a_depthwise_convolution(form):
    conv = SpikeConv2d(2, 2, (1, 3), groups=2, neuron=NEURON)
    x = torch.zeros(2, 2, 1, 5)
    x[0, 0, 0, 0], x[0, 1, 0, 2] = 1, 2
    x[1] = 2  # only the first image is sampled
    _, found = record(conv, x, form=form)
    assert found.substep_sops == [1 + 3, 3]
    assert found.touched == [1 + 3, 3]


@pytest.mark.parametrize('form', FORMS)
def test_substeps_of_a_linear_layer_over_time(form):
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=2, timesteps=2)

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.fc = SpikeLinear(2, 3, neuron=neuron)

        def forward(self, x):
            return self.fc(x.flatten(0, 1).flatten(1))

    x = torch.tensor([[2., 0.], [0., 1.], [1., 1.], [0., 0.]])  # 2 images
    trace = record(Net(), x.view(2, 2, 2, 1, 1), form=form)
    _, found = trace
    # The first image: 2, 0 spikes, then 0, 1.
    assert found.substep_sops == found.touched == [3, 3, 3, 0]
    assert found.sops == 3 * (2 + 1 + 1 + 1)
    assert trace.image_shapes == {(2, 2, 1, 1): 2}


def test_attention_per_substep(classifiers, make_images):
    trace = record(classifiers(4), make_images(1))
    products = [r for r in trace if r.kind == 'matmul']
    assert len(products) == 4
    for r in products:
        assert sum(r.substep_sops) == r.sops > 0  # of the only image
        assert not r.static and r.accumulators > 0
        assert 2**(r.accumulator_bits - 1) > r.accumulator_max
    names = [r.module for r in trace]
    first, second = [
        {names[s]: operand for s, operand in sources.items()}
        for r, sources in zip(trace, trace.sources()) if r.kind == 'matmul'
    ][:2]
    at = products[0].module
    assert first == {f'{at}.key_neuron': False, f'{at}.value_neuron': True}
    assert second == {f'{at}.query_neuron': False, at: True}


@pytest.mark.parametrize('form', FORMS)
def test_samples_of_every_synapse_sum_up(classifiers, make_images, form):
    trace = record(classifiers(4), make_images(1), form=form)
    for r in trace:
        if r.spiking and r.kind != 'neuron':
            assert sum(r.substep_sops) == r.sops, r.module
            assert all(a >= b for a, b in zip(r.touched, r.touched[1:]))


@pytest.mark.parametrize('form', FORMS)
def test_a_model_that_holds_a_sparse_tensor(form):
    fc = SpikeLinear(2, 2, neuron=NEURON)
    x = torch.ones(1, 2)
    expected = list(record(fc, x, x, form=form))
    fc.register_buffer('graph', torch.eye(2).to_sparse())
    assert list(record(fc, x, x, form=form)) == expected


def test_statistics_over_images():
    fc = SpikeLinear(1, 3, bias=False, neuron=dict(
        type='mmsnn.SFANeuron', max_spikes=4))
    values = [1., 4., 2., 2., 0., 3.]
    batches = [torch.tensor([[v]]) for v in values]
    for trace in (record(fc, *batches, form='spikes'),
                  record(fc, *batches, form='counts')):
        neuron, synapse = trace
        assert trace.statistics.runs == trace.statistics.images == 6
        assert trace.statistics.mean(dict(sops=1.)) == 3 * np.mean(values)
        expected = np.std(values, ddof=1)
        assert trace.statistics.std(dict(sops=1.)) == pytest.approx(
            3 * expected)
        assert trace.statistics.std(
            dict(sops=2., spikes=1.)) == pytest.approx(7 * expected)
        assert neuron.std('emitted', 6, 6) == pytest.approx(expected)
        assert synapse.std('sops', 6, 6) == pytest.approx(3 * expected)


def test_statistics_of_batches():
    # Of two batches of two: the deviation of their means, times sqrt(2).
    fc = SpikeLinear(1, 3, bias=False, neuron=dict(
        type='mmsnn.SFANeuron', max_spikes=4))
    x = torch.tensor([[1.], [3.], [4.], [2.]])
    trace = record(fc, x[:2], x[2:])
    expected = 3 * np.std([2., 3.], ddof=1) * 2**0.5
    assert trace.statistics.std(dict(sops=1.)) == pytest.approx(expected)
    assert record(fc, x).statistics.std(dict(sops=1.)) is None
