"""Energy and time on a chip, image by image."""

import statistics

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import estimate, network_from_trace
from mmsnn.hardware.on_chip.spread import chip_spreads, networks_by_image
from mmsnn.layers import SpikeConv2d, SpikeLinear
from mmsnn.trace import MOST_IMAGES, OpTrace

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2)


def trace_of(model, *batches, form='counts'):
    with to_spike_train(model.eval(), form) as spiking:
        for x in batches:
            spiking(x)
    return spiking.trace


class Net(nn.Module):

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, padding=1)
        self.f = SpikeConv2d(2, 2, 3, padding=1, stride=2, neuron=NEURON)
        self.head = SpikeLinear(2 * 2 * 3, 5, neuron=NEURON)

    def forward(self, x):
        return self.head(self.f(self.stem(x)).flatten(1))


class Windows(nn.Module):

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        return self.net(x[..., :6]) + self.net(x[..., 6:])


def images(number, width=6):
    return [8 * torch.rand(1, 1, 4, width) for _ in range(number)]


def test_the_doc_example_by_hand():
    # 3 and 6 additions of 1.54 pJ and those of the 2 membranes that come from
    # outside; nothing else is charged.
    fc = SpikeLinear(2, 3, neuron=dict(type='mmsnn.SFANeuron'))
    trace = trace_of(fc, torch.tensor([[1., 0.]]), torch.tensor([[1., 1.]]))
    found, = chip_spreads(trace, 'tianjic', missing='raise')
    energy = found.energy_mj.low
    assert energy == found.energy_mj.high
    assert energy.mean * 1e9 == pytest.approx((4.5 + 2) * 1.54)
    assert energy.std * 1e9 == pytest.approx(3 * 1.54 / 2**.5)
    # Student's t with one degree of freedom, 12.7, of a standard error.
    assert (energy.high - energy.mean) / energy.std == pytest.approx(
        12.7062 / 2**.5, rel=1e-4)
    assert (energy.runs, energy.images) == (2, 2)
    assert found.latency_ms.low.std == 0  # a fixed time step


@pytest.mark.parametrize('form', ['counts', 'spikes'])
@pytest.mark.parametrize('model, width', [(Net, 6), (Windows, 12)])
def test_each_image_is_what_a_trace_of_it_alone_gives(
        tiny_chip, model, width, form):
    model, data = model(), images(3, width)
    trace = trace_of(model, *data, form=form)
    whole, each = networks_by_image(trace)
    assert whole == network_from_trace(trace) and len(each) == 3
    for x, ours in zip(data, each):
        alone = network_from_trace(trace_of(model, x))
        assert (ours.runs, ours.images) == (alone.runs, 1)
        for a, b in zip(ours.populations, alone.populations):
            assert a.spikes == pytest.approx(b.spikes)
        for a, b in zip(ours.projections, alone.projections):
            assert a.total_sops == pytest.approx(b.total_sops)
    # The first image is also where spikes fall: all of it agrees, but for
    # additions per sub-step, which follow those of the mean.
    chip = tiny_chip({'limits.cores': 64, 'limits.mesh_width': 8,
                      'limits.mesh_height': 8})
    first = estimate(
        network_from_trace(trace_of(model, data[0])), chip).on_chip[0]
    spread = chip_spreads(trace, chip, most=1)[0]
    assert spread.energy_mj.low.mean == pytest.approx(first.total_mj.low,
                                                      rel=1e-3)
    assert spread.energy_mj.low.std is None


def test_spread_over_images(tiny_chip):
    trace = trace_of(Net(), *images(5))
    chip = tiny_chip({'limits.cores': 64, 'limits.mesh_width': 8,
                      'limits.mesh_height': 8,
                      'latency.barrier': dict(low=23, high=30)})
    both = chip_spreads(trace, chip, 'unrolled', weight_bits=4)
    assert [s.timing for s in both] == ['synchronous', 'asynchronous']
    for found in both:
        mean, = estimate(
            network_from_trace(trace), chip, weights='unrolled',
            timing=found.timing, weight_bits=4).on_chip
        energy, latency = found.energy_mj.low, found.latency_ms.low
        assert 0 < energy.std < energy.mean and energy.images == 5
        # Energy but for static power is linear in the counts.
        static = statistics.fmean(
            [mean.energy_mj['static power'].low]) / mean.latency_ms.low
        assert energy.mean - static * latency.mean == pytest.approx(
            mean.total_mj.low - static * mean.latency_ms.low, rel=1e-3)
        assert latency.mean >= mean.latency_ms.low * (1 - 1e-9)
        assert found.interval_ms.low.mean >= mean.interval_ms.low * (1 - 1e-9)
        assert latency.low < latency.mean < latency.high
    assert both[0].latency_ms.high.mean > both[0].latency_ms.low.mean
    assert 'high end' in str(both[0].latency_ms)
    assert 'high end' not in str(both[1].latency_ms)


def test_unknown_figures_leave_gaps():
    trace = trace_of(Net(), *images(5))
    found, = chip_spreads(trace, 'speck')
    assert found.energy_mj is None and found.latency_ms.low.std > 0


def test_a_silent_image_counts(tiny_chip):
    fc = SpikeLinear(2, 3, neuron=NEURON)
    trace = trace_of(fc, torch.zeros(1, 2), torch.ones(1, 2))
    _, (silent, _) = networks_by_image(trace)
    assert sum(p.total_sops for p in silent.projections) == 0
    assert chip_spreads(trace, tiny_chip())[0].energy_mj.low.std > 0


def test_only_images_that_were_run_one_by_one(tmp_path):
    model = Net()
    with pytest.raises(ValueError, match='one by one'):
        networks_by_image(trace_of(model, torch.cat(images(2))))
    with pytest.raises(ValueError, match='one by one'):
        networks_by_image(
            trace_of(model, torch.cat(images(2)), *images(1)))

    class Sometimes(Net):

        def forward(self, x):
            x = self.f(self.stem(x))
            return self.head(x.flatten(1)) if x.sum() > 0 else x

    model = Sometimes()
    nn.init.ones_(model.stem.weight), nn.init.zeros_(model.stem.bias)
    nn.init.ones_(model.f.weight), nn.init.zeros_(model.f.bias)
    trace = trace_of(model, torch.ones(1, 1, 4, 6), -torch.ones(1, 1, 4, 6))
    with pytest.raises(ValueError, match='head.* did not run on every image'):
        networks_by_image(trace)


def test_a_trace_keeps_so_many_images(tmp_path):
    fc = SpikeLinear(1, 1, neuron=NEURON)
    data = [torch.full((1, 1), float(i % 3)) for i in range(MOST_IMAGES + 5)]
    trace = trace_of(fc, *data)
    neuron, synapse = trace
    assert neuron.by_image[:3] == [[0, 0], [1, 0], [1, 1]]
    assert synapse.by_image[:4] == [[0], [1], [2], [0]]
    assert len(neuron.by_image) == len(synapse.by_image) == MOST_IMAGES
    assert len(networks_by_image(trace)[1]) == MOST_IMAGES
    trace.save(tmp_path / 'trace.json')
    loaded = OpTrace.load(tmp_path / 'trace.json')
    assert networks_by_image(loaded) == networks_by_image(trace)
    first = trace_of(fc, *data[:2])
    both = OpTrace.merged([first, trace_of(fc, *data[2:4])])
    assert [n.by_image for n in both] == [
        n.by_image for n in trace_of(fc, *data[:4])]
