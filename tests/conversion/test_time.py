"""Spike-train form of neurons over time."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.hardware.operations.counts import CAUSES, twin_counts
from mmsnn.layers import ESDSA, SpikeConv2d, SpikeLinear
from mmsnn.neurons import LIFNeuron, SFANeuron

SFA = dict(type='mmsnn.SFANeuron', max_spikes=3, timesteps=4)
NEURONS = [
    SFA,
    dict(SFA, decay=0.75, reset='hard'),
    dict(SFA, threshold=0.5, decay=0.5, decay_input=True),
    dict(type='mmsnn.LIFNeuron', timesteps=4),
    dict(type='mmsnn.LIFNeuron', timesteps=4, threshold=0.7, reset='soft'),
    dict(type='mmsnn.LIFNeuron', timesteps=1),
]


class Net(nn.Module):
    """Repeats an image T times, as the backbones do."""

    def __init__(self, neuron):
        super().__init__()
        self.timesteps = neuron['timesteps']
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = SpikeConv2d(
            16, 16, 3, stride=2, padding=1, neuron=neuron)
        self.attention = ESDSA(16, neuron, num_heads=2)
        self.last = SpikeLinear(16, 5, neuron=neuron)

    def forward(self, x):
        if x.dim() == 4:
            x = x.unsqueeze(1).expand(-1, self.timesteps, -1, -1, -1)
        x = 6 * self.second(2 * self.first(x.flatten(0, 1)))
        x = self.last((4 * (x + self.attention(x))).mean((2, 3)))
        return x.unflatten(0, (-1, self.timesteps)).mean(1)


def net(neuron):
    torch.manual_seed(0)
    model = Net(neuron).double().train()
    for part in (model.attention.query, model.attention.key,
                 model.attention.value):
        part.norm.bias.data.fill_(2.)  # so that attention fires
    for _ in range(10):
        model(2 * torch.randn(4, 3, 9, 7, dtype=torch.float64))
    return model.eval()


@pytest.mark.parametrize('neuron', NEURONS)
@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('shape', [(2, 3, 9, 7), (2, 4, 3, 9, 7)])
def test_no_count_differs_in_float64(neuron, form, shape):
    if len(shape) == 5 and neuron['timesteps'] == 1:
        shape = (2, 1, 3, 9, 7)
    model = net(neuron)
    check = EqualityCheck(model, to_spike_train(model, form))
    images = 2 * torch.randn(shape, dtype=torch.float64)
    expected, actual = check.compare(images)
    assert check.report.total_differences == 0
    assert all(row.training_spikes > 0 for row in check.report.rows)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize('broken', ['discharge', 'charge'])
def test_a_membrane_that_is_not_reset_or_does_not_decay_is_reported(broken):
    model = net(NEURONS[1])
    spiking = to_spike_train(model)
    neuron = spiking.module.second.neuron.neuron
    if broken == 'discharge':
        neuron.discharge = lambda membrane, counts: membrane
    else:
        neuron.charge = lambda inputs, state: inputs + state
    check = EqualityCheck(model, spiking)
    check.compare(2 * torch.randn(2, 3, 9, 7, dtype=torch.float64))
    assert check.report.rows[0].differences > 0


@pytest.mark.parametrize('neuron', NEURONS[:4])
def test_both_forms_and_the_plan_count_the_same(neuron):
    model = net(neuron)
    batches = [
        2 * torch.randn(2, 3, 9, 7, dtype=torch.float64) for _ in range(3)
    ]
    traces = []
    for form in ('spikes', 'counts'):
        with to_spike_train(model, form) as spiking:
            for x in batches:
                spiking(x)
        traces.append(spiking.trace)
    assert len(spiking._recording._plans) == 1
    for a, b in zip(*traces, strict=True):
        b.accumulator_max = a.accumulator_max  # known up to the first batch
        assert a == b
    assert traces[0].total('sops') > 0


def test_substeps_of_all_time_steps_worked_out_by_hand():
    # One sample, T = 2, D = 2; IF with soft reset; inputs 0.7 and 1.9.
    # v[1] = 0.7 -> 1 spike, -0.3 stays; v[2] = 1.6 -> 2 spikes.
    model = nn.Sequential(
        nn.Flatten(0, 1), SFANeuron(2, timesteps=2), nn.Linear(1, 3))
    with to_spike_train(model) as spiking:
        spiking(torch.tensor([[[0.7], [1.9]]]))
    neuron, linear = spiking.trace
    assert neuron.spikes == [1, 0, 1, 1]
    assert (neuron.neurons, neuron.timesteps) == (2, 2)
    assert neuron.state_bytes == 4  # one membrane, kept over time
    assert spiking.trace.neurons == 1
    assert spiking.trace.firing_rate() == [1., 0., 1., 1.]
    assert (linear.sops, linear.in_spikes, linear.in_elements) == (9, 3, 2)
    assert linear.rate == 3  # spikes per input, summed over T x D


@pytest.mark.parametrize('shape,repeats', [((1, 3, 9, 7), 4),
                                           ((1, 4, 3, 9, 7), 1)])
def test_a_repeated_image_is_noted(shape, repeats):
    with to_spike_train(net(SFA)) as spiking:
        spiking(torch.randn(shape, dtype=torch.float64))
    first, second = [r for r in spiking.trace if r.kind == 'conv'][:2]
    # 16 x 16 x 9 weights on 5 x 4 outputs, in each of four time steps
    assert second.dense_ops == 4 * 16 * 16 * 9 * 20
    assert first.repeats == second.repeats == repeats
    assert twin_counts(second)['synapse MACs'] * repeats == second.dense_ops


def test_a_twin_sees_a_repeated_image_once():
    totals = []
    for timesteps in (1, 4):
        total = dict.fromkeys(CAUSES, 0)
        with to_spike_train(net(dict(SFA, timesteps=timesteps))) as spiking:
            spiking(torch.ones(2, 3, 9, 7, dtype=torch.float64))
        for record in spiking.trace:
            if record.op != 'mean' or record.output_shape != (2, 5):
                for cause, count in twin_counts(record).items():
                    total[cause] += count
        totals.append(total)
    assert totals[0] == totals[1]
    assert totals[0]['synapse MACs'] > 0 and totals[0]['additions'] > 0


def test_trains_are_binary_and_synapses_see_only_them(monkeypatch):
    seen = []
    forward = torch.nn.functional.linear
    model = nn.Sequential(LIFNeuron(timesteps=2), nn.Linear(3, 2))
    spiking = to_spike_train(model)
    spiking.module[0].register_forward_hook(
        lambda m, a, out: seen.extend(out.parts))
    x = torch.tensor([[3., 1., 0.], [0., 1.5, 2.5]])
    out = spiking(x)
    assert [s.tolist() for s in seen] == [[[1., 0., 0.], [0., 1., 1.]]]
    torch.testing.assert_close(
        out, forward(seen[0], model[1].weight, model[1].bias))
