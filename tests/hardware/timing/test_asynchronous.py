"""Bounds that hold for any network without a barrier."""

import numpy as np
import pytest

from mmsnn.hardware import Network, Population, Projection, estimate
from mmsnn.hardware.timing.asynchronous import (
    _Arrivals,
    _backlog,
    _finish,
)


def random_network(seed):
    """Layers of random size, each fed by one or two before it."""
    rng = np.random.default_rng(seed)
    layers = [Population('0', (3, ), max_spikes=2, spikes=(2., 1.),
                         kind='input')]
    links = []
    for i in range(1, 7):
        n = int(rng.integers(2, 12))
        spikes = np.sort(rng.random(2) * n)[::-1]
        layers.append(Population(str(i), (n, ), max_spikes=2,
                                 spikes=tuple(map(float, spikes))))
        for j in {i - 1, int(rng.integers(0, i))}:
            source = layers[j]
            links.append(
                Projection(f'{j}-{i}', str(j), str(i), 'linear',
                           weights=source.neurons * n,
                           synapses=source.neurons * n,
                           sops=tuple(s * n for s in source.spikes)))
    return Network(tuple(layers), tuple(links))


@pytest.mark.parametrize('seed', range(6))
def test_latency_lies_between_the_busiest_core_and_all_work(seed, tiny_chip):
    chip = tiny_chip({'limits.cores': 64, 'limits.mesh_width': 8,
                      'limits.mesh_height': 8})
    network = random_network(seed)
    result = estimate(network, chip, timing='asynchronous').on_chip[0]
    latency = result.latency_ms.low * 1e6
    busy = result.utilisation * result.interval_ms.low * 1e6
    way = result.depth * 14 * 17  # the longest way, in each window
    assert busy.max() == pytest.approx(result.interval_ms.low * 1e6)
    assert busy.max() <= latency * (1 + 1e-12) <= busy.sum() + way
    # What all cores do is what all events take.
    events = result.events
    total = (events['synaptic additions'] + 11 * events['messages received'] +
             5 * events['neurons looked at'] + 5 * events['spikes'] +
             7 * events['messages sent'])
    assert busy.sum() == pytest.approx(total)
    free = estimate(network, chip, timing='asynchronous',
                            mode='free_running').on_chip[0]
    assert busy.max() <= free.latency_ms.low * 1e6 * (1 + 1e-12)
    assert free.latency_ms.low <= result.latency_ms.low * (1 + 1e-12)


@pytest.mark.parametrize('seed', range(4))
def test_a_queue_equals_its_simulation(seed):
    """Two streams into one server, in small steps of time."""
    rng = np.random.default_rng(seed)
    arrivals = []
    for _ in range(2):
        first, last = np.sort(rng.random(2) * 50)
        arrivals.append(
            _Arrivals(np.array([first]), np.array([last]),
                      np.array([rng.random() * 60]), None))
    step = 1e-3
    times = np.arange(0, 200, step)
    arriving = sum(
        np.where((times >= a) & (times < b), w / (b - a) * step, 0)
        for a, b, w, _ in arrivals)
    queue, fullest, done = 0.0, 0.0, 0.0
    for moment, work in zip(times, arriving):
        queue = max(0.0, queue + work - step)
        fullest = max(fullest, queue)
        if work > 0 or queue > 0:
            done = moment
    assert _finish(arrivals, 1).item() == pytest.approx(done, abs=0.01)
    assert _backlog(arrivals)[0].item() == pytest.approx(fullest, abs=0.01)


def test_messages_that_arrive_at_once_all_wait():
    zero = np.zeros(1)
    arrivals = [_Arrivals(zero + 5, zero + 5, zero + 8, None)]
    assert _finish(arrivals, 1).item() == 13
    backlog, pressure = _backlog(arrivals)
    assert (backlog.item(), pressure.item()) == (8, np.inf)


def test_time_steps_follow_each_other(tiny_chip):
    """One core, 3 time steps: it receives and fires for one at a time."""
    network = Network(
        (Population('in', (2, ), timesteps=3, spikes=(1., 2., 0.),
                    kind='input'),
         Population('a', (4, ), timesteps=3, spikes=(1., 1., 1.))),
        (Projection('fc', 'in', 'a', 'linear', sops=(4., 8., 0.)), ))
    result = estimate(network, tiny_chip(), timing='asynchronous').on_chip[0]
    work = 3 * 11 + 12
    firing = 3 * ((4 + 1) * 5 + 5)
    assert result.latency_ms.low * 1e6 == pytest.approx(work + firing)
