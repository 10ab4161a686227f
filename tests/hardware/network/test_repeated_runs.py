"""Networks that run several times on an image: sliding windows."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import (
    Network,
    Population,
    Projection,
    estimate,
    network_from_trace,
)
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpTrace

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2)


def trace_of(model, *batches):
    with to_spike_train(model.eval(), 'counts') as spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


def two_cores(runs=1):
    """The example of the docs: 4 neurons, and 2 on the next core."""
    return Network(
        (Population('image', (3, ), kind='input'),
         Population('a', (4, ), max_spikes=2, spikes=(3., 1.)),
         Population('b', (2, ), max_spikes=2, spikes=(1., 0.))),
        (Projection('stem', 'image', 'a', 'linear', weights=12, synapses=12,
                    macs=12.),
         Projection('fc', 'a', 'b', 'linear', weights=8, synapses=8,
                    sops=(6., 2.))), runs=runs)


def pj(energies):
    return {cause: pytest.approx(e.low * 1e9)
            for cause, e in energies.items()}


def test_three_runs_synchronous(tiny_chip):
    once = estimate(two_cores(), tiny_chip()).on_chip[0]
    result = estimate(two_cores(3), tiny_chip()).on_chip[0]
    assert (result.runs, result.cores, result.depth) == (3, once.cores, 2)
    # Two windows of two sub-steps, and two more of each further run.
    assert (result.substeps, result.interval_substeps) == (8, 6)
    # a fires in 56 and 32 ns, in all windows but the last, in which b fires
    # in 15 and 10; in between b takes 39 and 13 for its input.
    alone = 3 * (56 + 32) + 15 + 10 + 8 * 23
    assert result.latency_ms.low * 1e6 == pytest.approx(alone)
    assert result.interval_ms.low * 1e6 == pytest.approx(3 * 134)
    assert result.throughput.low == pytest.approx(1e9 / (3 * 134))
    assert result.utilisation.tolist() == pytest.approx(
        once.utilisation.tolist())
    # Neurons are looked at in all sub-steps. In the last two a has nothing to
    # do; b integrates or fires in all.
    assert pj(result.energy_mj) == {
        'synapses': 3 * 8, 'neuron access': 6 * 8 * 2,
        'neuron update': (4 * 6 + 2 * 8) * 3, 'neuron fire': 3 * 25,
        'messages': 3 * 4 * 18, 'hops': 3 * 4 * 13, 'static power': alone}
    assert result.pipeline_total_mj.low == pytest.approx(
        3 * once.pipeline_total_mj.low)
    assert any('36 multiply' in text for text in result.conditions)
    assert any('3 runs for an image' in text for text in result.assumptions)


def test_a_slow_layer_delays_the_runs_behind_it(tiny_chip):
    # 51 ns a message at b: 3 x 31 + 6 x 20 > what a sends in that time.
    chip = tiny_chip({'latency.synop': 20})
    result = estimate(two_cores(2), chip).on_chip[0]
    arrive = [3 * 11 + 6 * 20, 11 + 2 * 20]
    alone = 2 * sum(arrive) + 15 + 10 + 6 * 23
    assert result.latency_ms.low * 1e6 == pytest.approx(alone)


def test_two_runs_asynchronous(tiny_chip):
    once = estimate(two_cores(), tiny_chip(), timing='asynchronous').on_chip[0]
    result = estimate(two_cores(2), tiny_chip(),
                              timing='asynchronous').on_chip[0]
    # a fires for 88 ns twice; then the way and b, as for one run.
    assert result.latency_ms.low * 1e6 == pytest.approx(2 * 88 + 13 + 20)
    assert result.interval_ms.low * 1e6 == pytest.approx(2 * 88)
    assert result.events == {k: 2 * v for k, v in once.events.items()}
    assert result.energy_mj['synapses'].low == pytest.approx(
        2 * once.energy_mj['synapses'].low)


def test_runs_with_a_fixed_time_step(tiny_chip):
    result = estimate(two_cores(3),
                              tiny_chip({'latency.tick': 1000})).on_chip[0]
    assert result.latency_ms.low == pytest.approx(8e-3)
    assert result.interval_ms.low == pytest.approx(6e-3)


def test_runs_must_be_positive():
    with pytest.raises(ValueError, match='runs of a network'):
        two_cores(0)


class Net(nn.Module):
    """A residual, a head of two levels that it shares, real values last."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, padding=1)
        self.f = SpikeConv2d(2, 2, 3, padding=1, neuron=NEURON)
        self.head = SpikeConv2d(2, 3, 1, neuron=NEURON)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.f(x)
        coarse = nn.functional.max_pool2d(x, 2)
        coarse = nn.functional.interpolate(self.head(coarse), scale_factor=2)
        return (self.head(x) + coarse).sigmoid()


class Windows(nn.Module):
    """Three overlapping windows of width 6, averaged."""

    def __init__(self):
        super().__init__()
        self.net = Net()
        self.starts = (0, 3, 6)

    def forward(self, x):
        total = x.new_zeros(x.shape[0], 3, *x.shape[2:])
        number = x.new_zeros(x.shape[0], 1, *x.shape[2:])
        for start in self.starts:
            total[..., start:start + 6] += self.net(x[..., start:start + 6])
            number[..., start:start + 6] += 1
        return total / number


def test_windows_are_mapped_once():
    torch.manual_seed(3)
    model, images = Windows(), [6 * torch.rand(2, 1, 4, 12) for _ in range(2)]
    trace = trace_of(model, *images)
    network = network_from_trace(trace)
    crops = [x[..., s:s + 6] for x in images for s in model.starts]
    alone = network_from_trace(trace_of(model.net, *crops))
    assert (network.runs, network.images) == (3, 4)
    assert (alone.runs, alone.images) == (1, 12)
    # The same network, with the means of the 12 crops.
    named = {p.name: p for p in alone.populations}
    assert [p.name for p in network.populations] == [
        'input' if n == 'input' else f'net.{n}'.replace('.(model)', '')
        for n in named]
    for ours, other in zip(network.populations, alone.populations):
        assert (ours.kind, ours.shape, ours.state_bits) == (
            other.kind, other.shape, other.state_bits)
        assert ours.spikes == pytest.approx(other.spikes)
        assert ours.total_spikes > 0 or ours.kind != 'neuron'
    assert len(network.projections) == len(alone.projections)
    for ours, other in zip(network.projections, alone.projections):
        assert (ours.op, ours.geometry, ours.weights, ours.synapses) == (
            other.op, other.geometry, other.weights, other.synapses)
        assert ours.total_sops == pytest.approx(other.total_sops)
        assert (ours.macs, ours.adds) == pytest.approx(
            (other.macs, other.adds))
    # Nothing is lost: SOPs of an image are those of its runs.
    assert 3 * sum(p.total_sops for p in network.projections) == (
        pytest.approx(trace.per_image('sops')))
    one, all_of = (estimate(n, 'loihi').on_chip[0] for n in (alone, network))
    assert all_of.cores == one.cores
    # Three times 72 additions and 24 of numbers, 144 divisions.
    note = network.notes[0]
    assert 'runs 3 times for an image and is mapped once' in note
    assert f'({3 * (72 + 24) + 144:,} operations and 0 multiply' in note
    assert note in all_of.assumptions


def test_a_trace_from_a_file_folds_as_well(tmp_path):
    trace = trace_of(Windows(), 6 * torch.rand(1, 1, 4, 12))
    trace.save(tmp_path / 'trace.json')
    loaded = OpTrace.load(tmp_path / 'trace.json')
    assert network_from_trace(loaded) == network_from_trace(trace)


class Recurrent(Windows):
    """Each run reads what the one before has returned."""

    def forward(self, x):
        state = self.net(x)
        return self.net(x + state.mean(1, keepdim=True))


class Scales(Windows):
    """Runs on two sizes."""

    def forward(self, x):
        return self.net(x).mean() + self.net(x[..., :6]).mean()


class Joined(Windows):
    """Neurons behind two runs."""

    def __init__(self):
        super().__init__()
        self.last = SpikeLinear(6, 2, neuron=NEURON)

    def forward(self, x):
        return self.last(self.net(x[..., :6]) + self.net(x[..., 6:]))


class Before(Windows):
    """Neurons before the windows."""

    def __init__(self):
        super().__init__()
        self.fire = SFANeuron(2)

    def forward(self, x):
        return super().forward(6 * torch.sigmoid(self.fire(x)))


class Foreign(Windows):
    """Each window comes from NumPy: who knows what it depends on."""

    def forward(self, x):
        return [self.net(torch.from_numpy(x[..., s:s + 6].numpy() + 1))
                for s in self.starts]


@pytest.mark.parametrize('kind', [Recurrent, Scales, Joined, Before, Foreign])
def test_what_is_no_repetition_stays_side_by_side(kind):
    trace = trace_of(kind(), 6 * torch.rand(1, 1, 4, 12))
    network = network_from_trace(trace)
    assert network.runs == 1
    assert {'net.f.neuron', 'net.f.neuron#2'} <= {
        p.name for p in network.populations}
    assert sum(p.total_sops for p in network.projections) == pytest.approx(
        trace.per_image('sops'))
    note = network.notes[0]
    assert 'each of their calls is mapped for itself' in note
    assert note in estimate(network, 'loihi').on_chip[0].assumptions


def test_levels_of_a_head_are_no_runs():
    network = network_from_trace(trace_of(Net(), 6 * torch.rand(1, 1, 4, 6)))
    assert network.runs == 1
    assert {'head.neuron', 'head.neuron#2'} <= {
        p.name for p in network.populations}
