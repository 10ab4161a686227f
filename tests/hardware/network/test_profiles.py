"""Where spikes fall: profiles from a trace, and what they do to cores."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import (
    Geometry,
    Network,
    Population,
    Projection,
    estimate,
    map_network,
    network_from_trace,
)
from mmsnn.hardware.mapping.core_loads import count_loads
from mmsnn.hardware.network.profiles import sampled_profile
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpTrace

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2)
FORMS = ['counts', 'spikes']


def trace_of(model, *batches, form='counts'):
    with to_spike_train(model.eval(), form) as spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


def corner():
    """One channel of 4 x 4: 2, 1, 1, 1 spikes in a corner of 2 x 2."""
    x = torch.zeros(1, 1, 4, 4)
    x[..., :2, :2] = 1
    x[..., 0, 0] = 2
    return x


@pytest.mark.parametrize('form', FORMS)
def test_a_layer_that_fires_in_a_corner(tiny_chip, form):
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False),
                          SpikeConv2d(1, 1, 1, neuron=NEURON))
    nn.init.ones_(model[0].weight)
    network = network_from_trace(trace_of(model, corner(), form=form))
    half, first = (.5, .5, 0., 0.), (1., 0., 0., 0.)
    assert network['1.neuron'].spikes == (4, 1)
    assert network['1.neuron'].profile == (
        ((1., ), half, half), ((1., ), first, first))
    chip = tiny_chip({'limits.cores': 8, 'limits.mesh_width': 4})
    mapping = map_network(network, chip)
    # A core holds a column of 4 neurons; accumulators behind are as many.
    assert mapping.slices['1.neuron'].blocks == (1, 1, 4)
    fired = count_loads(mapping).fired['1.neuron'].spikes
    assert fired.tolist() == [[2, 2, 0, 0], [1, 0, 0, 0]]
    even = replace(network, populations=tuple(
        replace(p, profile=()) for p in network.populations))
    fired = count_loads(map_network(even, chip)).fired['1.neuron'].spikes
    assert fired.tolist() == [[1] * 4, [.25] * 4]
    # The busiest core: 4 neurons at 5 ns, and 5 ns for a spike, 7 ns for its
    # one message. Receiving takes less, 12 ns a message. Two barriers.
    ours, without = (estimate(n, chip).on_chip[0] for n in (network, even))
    assert ours.interval_ms.low * 1e6 == pytest.approx(
        2 * 20 + (2 + 1) * 12 + 2 * 23)
    assert without.interval_ms.low * 1e6 == pytest.approx(
        2 * 20 + (1 + .25) * 12 + 2 * 23)
    for event in ('spikes', 'messages sent', 'synaptic additions'):
        assert ours.events[event] == without.events[event] == 5


class Tokens(nn.Module):

    def __init__(self):
        super().__init__()
        self.neuron, self.fc = SFANeuron(2), nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(self.neuron(x))


def test_axes_of_tokens_are_those_of_the_population():
    x = torch.zeros(2, 4, 3)  # images, tokens, channels
    x[0, 1, 0], x[0, 3, 2] = 1, 2
    x[1] = 2  # only the first image is sampled
    network = network_from_trace(trace_of(Tokens(), x))
    fired = network['neuron']
    assert fired.shape == (3, 4)
    assert fired.spikes == (7, 6.5)
    channels, tokens = (.5, 0, .5), (0, .5, 0, .5)
    # 7 spikes of 12 neurons can't fall on 4 of them.
    mixed = fired.profile[0]
    assert 7 * mixed[0][0] * mixed[1][1] == pytest.approx(1)
    part = (mixed[0][0] - 1 / 2) / (1 / 3 - 1 / 2)  # of equal shares
    for shares, axis, n in zip(mixed, (channels, tokens), (3, 4)):
        assert shares == pytest.approx(
            tuple((1 - part) * s + part / n for s in axis))


def test_rows_of_an_image_are_an_axis():

    class Regions(nn.Module):

        def __init__(self):
            super().__init__()
            self.fc = SpikeLinear(2, 3, neuron=NEURON)

        def forward(self, x):
            return self.fc(x.flatten(0, 1))

    x = torch.tensor([[[1., 0.], [0., 0.], [2., 0.]]])  # 3 regions
    fired = network_from_trace(trace_of(Regions(), x))['fc.neuron']
    assert fired.shape == (2, 3)
    assert fired.profile[0] == ((1, 0), (1 / 2, 0, 1 / 2))
    assert fired.profile[1] == ((1, 0), (0, 0, 1))


@pytest.mark.parametrize('form', FORMS)
def test_time_steps(form):
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=2, timesteps=2)

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.fc = SpikeLinear(2, 3, neuron=neuron)

        def forward(self, x):
            return self.fc(x.flatten(0, 1).flatten(1))

    x = torch.tensor([[2., 0.], [0., 1.], [1., 1.], [0., 0.]])  # 2 images
    trace = trace_of(Net(), x.view(2, 2, 2, 1, 1), form=form)
    # The first image: 2, 0 spikes, then 0, 1.
    assert next(iter(trace)).axis_spikes == [
        [[1], [1, 0]], [[1], [1, 0]], [[1], [0, 1]], [[0], [0, 0]]]
    fired = network_from_trace(trace)['fc.neuron']
    # Means of 1.5, 0.5, 0.5 and 0 spikes: the first can't fall on one neuron;
    # in the last sub-step the shares of all, 2 and 1 spikes.
    assert [p[0] for p in fired.profile] == [
        pytest.approx((2 / 3, 1 / 3)), (1, 0), (0, 1), (2 / 3, 1 / 3)]


def test_one_pass_over_the_first_image_only(tmp_path):
    model = SpikeConv2d(1, 1, 1, neuron=NEURON)
    once = next(iter(trace_of(model, corner()))).axis_spikes
    trace = trace_of(model, corner(), 2 * torch.ones(1, 1, 4, 4))
    assert next(iter(trace)).axis_spikes == once == [
        [[4], [4], [2, 2, 0, 0], [2, 2, 0, 0]],
        [[1], [1], [1, 0, 0, 0], [1, 0, 0, 0]]]
    trace.save(tmp_path / 'trace.json')
    loaded = OpTrace.load(tmp_path / 'trace.json')
    assert network_from_trace(loaded) == network_from_trace(trace)
    # Of two processes both samples count.
    both = OpTrace.merged([loaded, trace])
    assert next(iter(both)).axis_spikes[1] == [[2], [2], [2, 0, 0, 0],
                                               [2, 0, 0, 0]]


def test_without_a_sample_there_is_no_profile():
    assert sampled_profile([], (1, ), (2, ), (1., )) == ()
    assert sampled_profile([[[0], [0, 0]]], (1, ), (2, ), (1., )) == ()
    # Another number of regions than in the mean: equal shares.
    assert sampled_profile([[[1, 0], [1, 0]]], (1, 0), (2, 3), (1., )) == (
        ((1, 0), (1 / 3, ) * 3), )
    # No axis of its own.
    assert sampled_profile([[[1, 0]]], (None, 0), (1, 2), (1., )) == (
        ((1, ), (1, 0)), )


def test_a_sample_that_reaches_nothing_is_spread(tiny_chip):
    # Every second position is read; those of the sample are not.
    conv = Geometry((1, 4), (1, 2), (1, ), (2, ), (0, ), (1, ))
    network = Network(
        (Population('a', (1, 4), spikes=(1., ),
                    profile=(((1., ), (0., 1., 0., 0.)), )),
         Population('b', (1, 2), spikes=(1., ))),
        (Projection('conv', 'a', 'b', 'conv', weights=1, synapses=2,
                    sops=(.5, ), geometry=conv), ))
    loads = count_loads(map_network(network, tiny_chip()))
    assert loads.received[0].additions.sum() == .5
    assert loads.received[0].messages.sum() == .5
