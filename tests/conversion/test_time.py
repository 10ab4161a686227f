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


def sequence(x, part):
    """Frames (N, T, F), each through a linear layer."""
    return part.into(x.flatten(0, 1))


def lengthwise(x, part):
    """(N, F, T): time comes last."""
    return part.into(x.transpose(1, 2)).flatten(0, 1)


def joined(x, part):
    """Frames one by one."""
    return torch.stack([part.into(x[:, t]) for t in range(3)], 1).flatten(0, 1)


def written(x, part):
    """Frames written into a buffer."""
    frames = x.new_zeros(len(x), 3, 5)
    for t in range(3):
        frames[:, t] = x[:, t]
    return part.into(frames.flatten(0, 1))


def mixed(x, part):
    """A convolution over time, which the first neuron gets."""
    return part.over_time(x.transpose(1, 2)).transpose(1, 2).flatten(0, 1)


def shown(x, part):
    return part.into(x).repeat_interleave(3, 0)


def shown_first(x, part):
    x = x.unsqueeze(1).expand(-1, 3, -1)
    return part.into(x).flatten(0, 1)


def listed(x, part):
    return torch.stack([part.into(x)] * 3, 1).flatten(0, 1)


def copied(x, part):
    frames = torch.empty(len(x), 3, 4)
    frames[:] = part.into(x)[:, None]
    return frames.flatten(0, 1)


def tiled(x, part):
    return part.into(x.repeat(3, 1).view(3, -1, 5).transpose(0, 1).flatten(
        0, 1))


def drawn(x, part):
    """Noise of its own in each time step."""
    x = part.into(x)
    return (x + 0.1 * torch.rand(3, *x.shape)).transpose(0, 1).flatten(0, 1)


def embedded(x, part):
    """A learnt vector of each time step is added."""
    return (part.into(x).unsqueeze(1) + part.steps).flatten(0, 1)


class Part(nn.Module):
    """Linear, neurons with T = 3, linear."""

    def __init__(self, arrange):
        super().__init__()
        self.arrange = arrange
        self.into = nn.Linear(5, 4)
        self.steps = nn.Parameter(torch.rand(3, 4))
        self.over_time = nn.Conv1d(5, 4, 3, padding=1)
        self.neuron = SFANeuron(1, timesteps=3, decay=0.5)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        x = self.out(self.neuron(4 * self.arrange(x, self)))
        return x.unflatten(0, (-1, 3)).mean(1)


def recorded(model, *inputs, form='counts', **keys):
    torch.manual_seed(0)
    with to_spike_train(model.eval(), form, **keys) as spiking:
        spiking(*inputs)
    return spiking.trace


def twin_macs(trace):
    """Synapses of a twin without spikes, which sees a still image once."""
    return sum(twin_counts(r)['synapse MACs'] for r in trace) / trace.images


# A linear layer from 5 to 4 and one from 4 to 2, 20 and 8 products a step.
@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('arrange', [sequence, joined, written])
def test_frames_are_data_over_time(arrange, form):
    trace = recorded(Part(arrange), torch.rand(2, 3, 5), form=form)
    assert {r.repeats for r in trace} == {1}
    assert twin_macs(trace) == 3 * 28


def test_time_may_come_last():
    trace = recorded(Part(lengthwise), torch.rand(2, 5, 3))
    assert twin_macs(trace) == 3 * 28
    # 3 positions, each of 3 x 5 inputs (padding included) to 4 outputs.
    trace = recorded(Part(mixed), torch.rand(2, 3, 5))
    assert twin_macs(trace) == 3 * (60 + 8)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('arrange', [
    shown, shown_first, listed, copied, tiled, drawn, embedded])
def test_a_still_image_is_shown_several_times(arrange, form):
    trace = recorded(Part(arrange), torch.rand(2, 5), form=form)
    assert twin_macs(trace) == 28
    first, last = [r for r in trace if r.kind == 'linear']
    assert last.repeats == 3 and first.repeats == first.dense_ops // (2 * 20)


def test_no_value_decides():
    # All frames are alike; they are frames all the same.
    trace = recorded(Part(sequence), torch.ones(2, 3, 5))
    assert twin_macs(trace) == 3 * 28
    trace = recorded(Part(shown), torch.zeros(2, 5))
    assert twin_macs(trace) == 28


class Volume(nn.Module):
    """(N, C, D, H, W), which are no frames although there are five axes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(2, 3, 3, padding=1)
        self.neuron = SFANeuron(1, timesteps=4, decay=0.5)
        self.out = nn.Conv3d(3, 2, 1)

    def forward(self, x):
        x = self.stem(x).repeat_interleave(4, 0)
        return self.out(self.neuron(4 * x)).unflatten(0, (-1, 4)).mean(1)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_a_volume_that_is_shown_several_times(form):
    trace = recorded(Volume(), torch.randn(2, 2, 4, 4, 4), form=form)
    assert {r.repeats for r in trace if r.kind == 'conv'} == {1, 4}
    # 64 positions: 27 x 2 inputs to 3 outputs, 3 inputs to 2.
    assert twin_macs(trace) == 64 * (162 + 6)


def test_sequences_of_tokens():
    # T = 8 frames of one number each: an embedding reads numbers, too.
    class Tokens(nn.Module):

        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(9, 4)
            self.neuron = SFANeuron(1, timesteps=8, decay=0.5)
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.neuron(4 * self.table(x).flatten(0, 1)))

    assert twin_macs(recorded(Tokens(), torch.ones(2, 8).long())) == 8 * 8


def halves(x, part):
    """Two frames, of which the second is shown twice."""
    return part.into(x[:, [0, 1, 1]].flatten(0, 1))


def by_numpy(x, part):
    return part.into(torch.from_numpy(x.numpy().copy()).flatten(0, 1))


@pytest.mark.parametrize('arrange,shape', [(halves, (2, 2, 5)),
                                           (by_numpy, (2, 3, 5))])
def test_what_does_not_tell_is_asked_for(arrange, shape):
    model, x = Part(arrange), torch.rand(shape)
    with pytest.raises(
            ValueError, match='neuron: what reaches its 3 time steps.*Write '
            r'to_spike_train\(model, input_over_time=True\) if it has, or '
            'input_over_time=False'):
        recorded(model, x)
    trace = recorded(model, x, input_over_time=True)
    assert twin_macs(trace) == 3 * 28
    trace = recorded(model, x, input_over_time=False)
    assert twin_macs(trace) == 28
    to_spike_train(model)(x)  # without a trace it does not matter


def test_a_static_neuron_in_front():
    class Both(nn.Module):

        def __init__(self):
            super().__init__()
            self.first = SpikeLinear(5, 4, neuron=dict(
                type='mmsnn.SFANeuron', max_spikes=4))
            self.second = SFANeuron(1, timesteps=3)
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            x = self.first(4 * x)
            x = x.flatten(0, 1) if x.dim() == 3 else x.repeat_interleave(3, 0)
            return self.out(self.second(3 * x))

    assert twin_macs(recorded(Both(), torch.rand(2, 5))) == 28
    assert twin_macs(recorded(Both(), torch.rand(2, 3, 5))) == 3 * 28
