"""Max pooling of spikes: gates that hand spikes on."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.hardware import (
    Network,
    Population,
    Projection,
    estimate,
    network_from_trace,
)
from mmsnn.hardware.on_chip.spread import networks_by_image
from mmsnn.neurons import SFANeuron
from mmsnn.trace import OpTrace

MOST = 3


class Pooled(nn.Module):

    def __init__(self, pool, channels=4, timesteps=1):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.neuron = SFANeuron(MOST, timesteps=timesteps)
        self.conv, self.pool = nn.Conv2d(channels, 3, 1), pool

    def forward(self, x):
        x = x.flatten(0, 1) if x.dim() == 5 else x
        return self.conv(self.pool(self.neuron(2 * self.stem(x))))


# Pooling -> channels of its result, and which inputs each gate reads:
# (rows, columns, channels) of a gate (channel, row, column).
POOLS = {
    'windows': (lambda s: F.max_pool2d(s, 2), 4,
                lambda c, y, x: ((c, ), (2 * y, 2 * y + 1),
                                 (2 * x, 2 * x + 1))),
    'overlapping, padded': (
        lambda s: F.max_pool2d(s, 3, 2, 1), 4,
        lambda c, y, x: ((c, ), range(2 * y - 1, 2 * y + 2),
                         range(2 * x - 1, 2 * x + 2))),
    'apart': (lambda s: F.max_pool2d(s, 1, 3), 4,
              lambda c, y, x: ((c, ), (3 * y, ), (3 * x, ))),
    'of a slice': (lambda s: F.max_pool2d(s[:, 2:], 2), 2,
                   lambda c, y, x: ((c + 2, ), (2 * y, 2 * y + 1),
                                    (2 * x, 2 * x + 1))),
    'of all channels': (lambda s: s.amax(1, keepdim=True), 1,
                        lambda c, y, x: (range(4), (y, ), (x, ))),
    'of two halves': (lambda s: torch.maximum(s[:, :2], s[:, 2:]), 2,
                      lambda c, y, x: ((c, c + 2), (y, ), (x, ))),
    'adaptive': (lambda s: F.adaptive_max_pool2d(s, 3), 4,
                 lambda c, y, x: ((c, ), (2 * y, 2 * y + 1),
                                  (2 * x, 2 * x + 1))),
}


def by_loops(counts, shape, reads):
    """Spikes of the gates in each sub-step, and of the neurons that they
    read."""
    gates, read = [0] * MOST, set()
    for c, y, x in itertools.product(*map(range, shape)):
        inputs = [(i, j, k) for i, j, k in itertools.product(*reads(c, y, x))
                  if 0 <= j < len(counts[0]) and 0 <= k < len(counts[0][0])]
        read.update(inputs)
        for d in range(MOST):
            gates[d] += any(counts[i][j][k] > d for i, j, k in inputs)
    sent = [sum(counts[i][j][k] > d for i, j, k in read)
            for d in range(MOST)]
    return gates, sent


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('name', POOLS)
def test_gates_and_messages(name, form, spec):
    torch.manual_seed(0)
    pool, channels, reads = POOLS[name]
    model = Pooled(pool, channels).eval()
    images = 2 * torch.randn(3, 2, 6, 6)
    spiking = to_spike_train(model, form)
    check = EqualityCheck(model, spiking)
    with spiking:
        check.compare(images)
    assert check.report.equal
    with torch.no_grad():
        counts = (model.neuron(2 * model.stem(images)) * MOST).round().int()
        shape = tuple(model.pool(counts.float()).shape[1:])
    found = [by_loops(c.tolist(), shape, reads) for c in counts]
    gates, sent = ([sum(n) / 3 for n in zip(*(f[k] for f in found))]
                   for k in range(2))
    network = network_from_trace(spiking.trace)
    relay, = [p for p in network.populations if p.kind == 'relay']
    assert relay.shape == shape and relay.state_bits == 0
    assert relay.spikes == pytest.approx(gates)
    into, = network.incoming(relay.name)
    assert (into.op, into.source, into.total_sops) == ('relay', 'neuron', 0)
    assert network.spikes_read(into) == pytest.approx(sent)
    out, = network.outgoing(relay.name)
    assert out.total_sops == pytest.approx(3 * sum(gates))
    chip = spec('loihi', {f'limits.{n}': 10**6 for n in (
        'neurons', 'axons_in', 'axons_out', 'synapse_memory')})
    events = estimate(network, chip).on_chip[0].events
    assert events['messages sent'] == pytest.approx(sum(sent) + sum(gates))
    # Spikes of neurons only; gates hand them on.
    assert spiking.trace.total('emitted') == counts.sum()


def test_gates_over_time():
    torch.manual_seed(0)
    model = Pooled(lambda s: F.max_pool2d(s, 2), timesteps=2).eval()
    with to_spike_train(model, 'counts') as spiking:
        spiking(2 * torch.randn(2, 2, 2, 6, 6))
        trace = spiking.trace
    relay, = [r for r in trace if r.kind == 'pool']
    assert (relay.timesteps, relay.max_spikes) == (2, MOST)
    with torch.no_grad():
        torch.manual_seed(0)
        Pooled(None, timesteps=2)
        x = 2 * torch.randn(2, 2, 2, 6, 6)
        counts = (model.pool(model.neuron(2 * model.stem(
            x.flatten(0, 1)))) * MOST).round()
    steps = counts.unflatten(0, (2, 2)).unbind(1)
    assert relay.spikes == [int((s > d).sum()) for s in steps
                            for d in range(MOST)]


def test_what_a_plan_counts(tmp_path):
    """Calls that are not watched add what gates fire there."""
    torch.manual_seed(0)
    model = Pooled(lambda s: F.max_pool2d(s, 2)).eval()
    images = 2 * torch.randn(5, 1, 2, 6, 6)
    traces = {}
    for form in ('spikes', 'counts'):
        with to_spike_train(model, form) as spiking:
            for x in images:
                spiking(x)
        traces[form] = spiking.trace
    assert list(traces['spikes']) == list(traces['counts'])
    trace = traces['counts']
    relay, = [r for r in trace if r.kind == 'pool']
    assert relay.calls == 5 and len(relay.by_image) == 5
    assert [sum(n) for n in zip(*relay.by_image)] == relay.spikes
    trace.save(tmp_path / 'trace.json')
    assert list(OpTrace.load(tmp_path / 'trace.json')) == list(trace)
    mean, each = networks_by_image(trace)
    for k, network in enumerate(each):
        gates, = [p for p in network.populations if p.kind == 'relay']
        assert gates.spikes == tuple(relay.by_image[k])


def test_comparisons_of_gates_and_of_a_twin():
    """3 comparisons a window of 4, in both."""
    torch.manual_seed(0)
    model = Pooled(lambda s: F.max_pool2d(s, 2)).eval()
    with to_spike_train(model, 'counts') as spiking:
        spiking(torch.randn(1, 2, 6, 6))
    found = estimate(spiking.trace).operations
    found = found[0] if isinstance(found, (list, tuple)) else found
    windows = 4 * 3 * 3
    assert found['spiking_fp32'].counts['comparisons'] == 3 * windows
    assert found['float_twin_fp32'].counts['comparisons'] == 3 * windows


def test_gates_fire_in_a_window_of_their_own_without_membranes(tiny_chip):
    """Four neurons, two gates, one sum: 3 and 2 spikes."""
    network = Network(
        (Population('a', (4, ), spikes=(3., )),
         Population('gates', (2, ), spikes=(2., ), kind='relay',
                    state_bits=0),
         Population('out', (1, ), kind='real')),
        (Projection('pool', 'a', 'gates', 'relay'),
         Projection('fc', 'gates', 'out', 'linear', weights=2, synapses=2,
                    sops=(2., ))))
    result = estimate(network, tiny_chip(), timing='synchronous').on_chip[0]
    assert result.depth == 2 and result.fits
    events = result.events
    assert events['messages sent'] == 3 + 2
    assert events['synaptic additions'] == 2
    assert events['spikes'] == 5
    # 7 in 2 sub-steps; a is updated where it fires, out where it integrates.
    assert events['neurons looked at'] == 7 * 2
    assert events['neurons updated'] == 4 + 1
