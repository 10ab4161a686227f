"""Products whose operand depends on the spikes that select from it."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import (
    Network,
    Population,
    Projection,
    estimate,
    list_chips,
    load_chip,
    network_from_trace,
)
from mmsnn.hardware.timing.schedule import lossless_schedule
from mmsnn.neurons import SFANeuron

PRODUCT = dict(static=False, reason='computed')


def squared():
    """q fires 2 and 1 spikes; each selects from what q has fired."""
    return Network(
        (Population('q', (2, ), max_spikes=2, spikes=(2., 1.)),
         Population('out', (4, ), max_spikes=2, kind='real')),
        (Projection('q q^T', 'q', 'out', 'matmul', sops=(4., 2.),
                    operand='q', **PRODUCT), ))


def test_q_with_itself_is_sent_in_a_window_of_its_own():
    schedule = lossless_schedule(squared())
    assert schedule.fires == {'q': 1}
    assert schedule.replays == {('q q^T', 'q', 'out', 'q'): 2}
    assert (schedule.depth, schedule.steps, schedule.period) == (2, 4, 2)


def test_time_and_energy_by_hand(tiny_chip):
    """ns and pJ: 2 for a look, 3 for an update, 5 for a spike, 7 and 11 for a
    message sent and received, 1 for an addition, 13 for the hop, 23 for a
    barrier."""
    result = estimate(squared(), tiny_chip(), timing='synchronous'
                      ).on_chip[0]
    # q fires: 2 neurons at 5, and 2, then 1 spikes. Then it only sends them
    # (2 looks, 7 a message), which takes less than what out does with them:
    # 2 x 11 + 4, and at least the updates of its 4 neurons.
    steps = [20, 15, 26, 20]
    assert result.latency_ms.low * 1e6 == pytest.approx(sum(steps) + 4 * 23)
    # Of two images, q fires one while it sends the other once more.
    assert result.interval_ms.low * 1e6 == pytest.approx(
        (10 + 10 + 14) + (10 + 5 + 7) + 2 * 23)
    assert sum(e.low for e in result.energy_mj.values()) * 1e9 == (
        pytest.approx(6 * 1 + 6 * 4 * 2 + (2 * 2 + 4 * 2) * 3 + 3 * 5 +
                      3 * (7 + 11 + 13) + sum(steps) + 4 * 23))
    assert any('sent once more' in text for text in result.assumptions)


def test_without_a_barrier_by_hand(tiny_chip):
    result = estimate(squared(), tiny_chip(), timing='asynchronous'
                      ).on_chip[0]
    # 2 looks and 3 more at 5, 3 spikes at 5; then 3 messages at 7. The first
    # arrives a hop after the last spike; all take 3 x 11 + 6.
    assert result.latency_ms.low * 1e6 == pytest.approx(40 + 13 + 39)
    assert result.interval_ms.low * 1e6 == pytest.approx(40 + 21)


def waiting(operand, *more):
    """a -> b, and a product of a with an operand."""
    layers = [Population(n, (2, ), spikes=(1., )) for n in 'ab']
    out = Population('out', (2, ), kind='real')
    return Network(
        (*layers, out),
        (Projection('fc', 'a', 'b', 'linear', sops=(2., )),
         Projection('x', 'a', 'out', 'matmul', operand=operand, sops=(1., ),
                    **PRODUCT), *more))


def test_an_operand_computed_from_the_source():
    """a, b from it, then a once more."""
    schedule = lossless_schedule(waiting('b'))
    assert schedule.fires == {'a': 1, 'b': 2}
    assert schedule.replays == {('x', 'a', 'out', 'b'): 3}
    assert schedule.depth == 3


def test_a_synapse_beside_a_product_is_not_delayed():
    """A linear layer of the same name reads a when it fires."""
    more = Projection('x', 'a', 'out', 'linear', sops=(2., ))
    network = waiting('a', more)
    schedule = lossless_schedule(network)
    slots = {p.op: next(schedule.slots(network['a'], p))[0]
             for p in network.outgoing('a')}
    assert slots == {'linear': 0, 'matmul': 1}
    assert (schedule.fires['b'], schedule.depth) == (2, 2)


def test_a_chain_that_does_not_wait_is_as_before():
    """The operand fires first; nothing is sent twice."""
    layers = [Population(n, (2, ), spikes=(1., )) for n in 'vk']
    network = Network(
        (*layers, Population('kv', (4, ), kind='real')),
        (Projection('kv', 'k', 'kv', 'matmul', operand='v', sops=(1., ),
                    **PRODUCT), ))
    schedule = lossless_schedule(network)
    assert schedule.fires == {'v': 1, 'k': 2} and not schedule.replays


class Attention(nn.Module):

    def __init__(self, product, size):
        super().__init__()
        self.stem, self.neuron = nn.Linear(6, 6), SFANeuron(2)
        self.key, self.key_neuron = nn.Linear(6, 6), SFANeuron(2)
        self.last_neuron, self.last = SFANeuron(2), nn.Linear(size, 2)
        self.product = product

    def forward(self, x):
        q = self.neuron(self.stem(x))
        k = self.key_neuron(3 * self.key(q))
        return self.last(self.last_neuron(self.product(q, k)))


# Product -> width of its result, windows: q fires in the first, the last
# neuron behind the product.
PRODUCTS = {
    'q q^T': (lambda q, k: q @ q.mT, 5, 3),
    'q^T q': (lambda q, k: q.mT @ q, 6, 3),
    'q k(q)^T': (lambda q, k: q @ k.mT, 5, 4),
    'k(q) q^T': (lambda q, k: k @ q.mT, 5, 3),
    'q (q^T q)': (lambda q, k: q @ (q.mT @ q), 6, 4),
    '(q q^T) q': (lambda q, k: (q @ q.mT) @ q, 6, 4),
    'q k^T + k q^T': (lambda q, k: q @ k.mT + k @ q.mT, 5, 4),
    'parts of q': (lambda q, k: q[..., :3] @ q[..., 3:].mT, 5, 3),
}


@pytest.mark.parametrize('name', PRODUCTS)
def test_attention_on_one_layer_has_a_schedule_on_every_chip(name):
    torch.manual_seed(0)
    product, size, depth = PRODUCTS[name]
    with to_spike_train(Attention(product, size).eval(), 'counts') as spiking:
        spiking(3 * torch.randn(2, 5, 6))
    network = network_from_trace(spiking.trace)
    assert sum(p.total_sops for p in network.projections) == pytest.approx(
        spiking.trace.per_image('sops'))
    for chip in list_chips():
        if load_chip(chip).has_cores:
            for result in estimate(network, chip, missing='report').on_chip:
                assert result.depth == depth, (name, chip)
                assert result.substeps == 2 * depth
