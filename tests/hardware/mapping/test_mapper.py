"""Layers split over cores, hops between them, and when they fire."""

import itertools

import numpy as np
import pytest

from mmsnn.hardware import (
    Geometry,
    Network,
    Population,
    Projection,
    load_chip,
    map_network,
)
from mmsnn.hardware.mapping.core_loads import count_loads
from mmsnn.hardware.mapping.tiling import block_sizes
from mmsnn.hardware.timing.asynchronous import _over_sources
from mmsnn.hardware.timing.schedule import lossless_schedule


def chain(*shapes, op='linear', **fields):
    """Spiking input and layers of those shapes, all to all."""
    first = Population('0', shapes[0], spikes=(1., ), kind='input')
    layers = [
        Population(str(i), shape, spikes=(1., ))
        for i, shape in enumerate(shapes[1:], 1)
    ]
    links = []
    for i in range(1, len(shapes)):
        count = int(np.prod(shapes[i - 1]) * np.prod(shapes[i]))
        links.append(
            Projection(f'p{i}', str(i - 1), str(i), op,
                       **{**dict(weights=count, synapses=count, sops=(1., )),
                          **fields}))
    return Network((first, *layers), tuple(links))


def conv(channels, size, kernel):
    return Geometry((channels, size), (channels, size), (kernel, ), (1, ),
                    (kernel // 2, ), (1, ))


def test_neurons_limit_the_cores(tiny_chip):
    layer = map_network(chain((3, ), (10, )), tiny_chip()).layers[0]
    assert (layer.cores, layer.limited_by) == (3, 'neurons')  # of 4 each
    assert layer.fits and layer.needs['axons_in'] == 3


def test_synaptic_memory_limits_the_cores(tiny_chip):
    """16 inputs of 8 bits each: 64 bytes hold the synapses of 4 neurons."""
    chip = tiny_chip({'limits.neurons': 100})
    layer = map_network(chain((16, ), (8, )), chip).layers[0]
    assert (layer.cores, layer.limited_by) == (2, 'synapse_memory')
    halved = map_network(chain((16, ), (8, )), chip, weight_bits=4).layers[0]
    assert halved.cores == 1


def test_shared_and_unrolled_weights(tiny_chip):
    """1 x 1 convolution of 8 channels at 16 positions, 64 weights. Shared,
    they fill a core; 16 axons are those of 2 positions. Unrolled, a core
    holds the 64 synapses of 1 position."""
    chip = tiny_chip({'limits.neurons': 100})
    network = chain((8, 16), (8, 16), op='conv', geometry=conv(8, 16, 1),
                    weights=64, synapses=64 * 16)
    shared = map_network(network, chip)
    assert shared.slices['1'].blocks == (1, 8)
    assert shared.layers[0].limited_by == 'axons_in'
    unrolled = map_network(network, chip, weights='unrolled')
    assert unrolled.slices['1'].blocks == (1, 16)
    assert unrolled.layers[0].limited_by == 'synapse_memory'


def test_axons_out_split_the_source(tiny_chip):
    """Each of 4 neurons sends to 5 cores: 16 axons serve 3 of them."""
    mapping = map_network(chain((3, ), (4, ), (20, )), tiny_chip())
    assert [s.cores for s in mapping.slices.values()] == [2, 5]
    assert mapping.layers[0].limited_by == 'axons_out'
    assert mapping.slices['2'].first_core == 2


def test_memory_holds_weights_and_two_membranes(tiny_chip):
    """A neuron: 3 synapses of 1 byte and twice 4 bytes of state."""
    chip = tiny_chip({'limits.memory': 22, 'limits.neurons': 100})
    layer = map_network(chain((3, ), (4, )), chip).layers[0]
    assert (layer.cores, layer.needs['memory']) == (2, 22)
    assert layer.limited_by == 'memory'


def test_a_layer_that_no_core_can_hold_says_why(tiny_chip):
    mapping = map_network(chain((20, ), (8, )), tiny_chip())
    layer = mapping.layers[0]
    assert not layer.fits
    assert layer.reasons[0] == (
        'one neuron needs 20 axons (axons_in), a core of tiny has at most 16')
    # It is split as if that limit were not there.
    assert (layer.cores, layer.limited_by) == (3, 'synapse_memory')


@pytest.mark.parametrize('change, weights, message', [
    ({'support.shared_weights': False}, 'shared', "use weights='unrolled'"),
    ({'support.unrolled_weights': False}, 'unrolled', "use weights='shared'"),
    ({'limits.weight_bits': 4}, 'shared', 'weights of 8 bits, tiny has at'),
])
def test_what_the_chip_can_not_do_is_a_reason(tiny_chip, change, weights,
                                              message):
    layer = map_network(chain((3, ), (4, )), tiny_chip(change),
                        weights).layers[0]
    assert len(layer.reasons) == 1 and message in layer.reasons[0]


def test_an_unknown_limit_is_not_checked_and_listed(tiny_chip):
    mapping = map_network(chain((3, ), (10, )),
                          tiny_chip({'limits.axons_in': None}))
    assert any('limits.axons_in' in text for text in mapping.unchecked)
    assert mapping.layers[0].fits


def residual_block():
    """a; a -> b; c = membrane of a + b's input; a product q (k v)."""
    def layer(name, **more):
        return Population(name, (4, ), max_spikes=2, spikes=(1., 1.), **more)

    def link(name, source, target, op='linear', **more):
        sops = () if op == 'residual' else (4., )
        return Projection(name, source, target, op, sops=sops, **more)

    product = dict(op='matmul', static=False, reason='computed in the run')
    return Network(
        (Population('image', (4, ), kind='input'), layer('a'), layer('b'),
         layer('c'), layer('q'), layer('k'), layer('v'),
         Population('kv', (16, ), max_spikes=2, kind='real'), layer('out')),
        (Projection('stem', 'image', 'a', 'linear', macs=16.),
         link('ab', 'a', 'b'), link('bc', 'b', 'c'),
         link('skip', 'a', 'c', 'residual', adds=4.), link('cq', 'c', 'q'),
         link('ck', 'c', 'k'), link('cv', 'c', 'v'),
         link('kv', 'k', 'kv', operand='v', **product),
         link('qkv', 'q', 'out', operand='kv', **product)))


def test_windows_follow_the_longest_chain_and_wait_for_operands():
    schedule = lossless_schedule(residual_block())
    assert schedule.fires == {
        'a': 1, 'b': 2, 'c': 3, 'v': 4, 'k': 5, 'q': 6, 'out': 7}
    assert (schedule.depth, schedule.steps, schedule.interval) == (7, 14, 2)


def test_time_steps_enter_one_window_after_the_other():
    layers = [
        Population(str(i), (2, ), timesteps=3, max_spikes=4,
                   spikes=(0.5, ) * 12) for i in range(2)
    ]
    network = Network(
        tuple(layers), (Projection('p', '0', '1', 'linear', sops=(4., )), ))
    schedule = lossless_schedule(network)
    assert (schedule.depth, schedule.windows) == (2, 4)
    assert (schedule.steps, schedule.interval) == (16, 12)


def test_operands_that_wait_for_each_other():
    """b fires, a with all of b, then b once more with all of a."""
    layers = [Population(n, (2, ), spikes=(1., )) for n in 'ab']
    out = Population('out', (2, ), kind='real')
    product = dict(static=False, reason='computed', sops=(1., ))
    schedule = lossless_schedule(
        Network((*layers, out),
                (Projection('x', 'a', 'out', 'matmul', operand='b',
                            **product),
                 Projection('y', 'b', 'out', 'matmul', operand='a',
                            **product))))
    assert schedule.fires == {'b': 1, 'a': 2}
    assert schedule.replays == {('y', 'b', 'out', 'a'): 3}
    assert schedule.depth == 3


def test_an_operand_that_depends_on_its_product_is_refused():
    layers = [Population(n, (2, ), spikes=(1., )) for n in 'ab']
    product = Projection('x', 'a', 'b', 'matmul', operand='b', static=False,
                         reason='computed', sops=(1., ))
    with pytest.raises(ValueError, match='depends on its result.*x'):
        lossless_schedule(Network(tuple(layers), (product, )))


def test_residuals_and_products_are_reasons_on_loihi():
    mapping = map_network(residual_block(), load_chip('loihi'))
    reasons = {la.name: la.reasons for la in mapping.layers if la.reasons}
    assert set(reasons) == {'c', 'kv', 'out'}
    assert 'membrane potentials of a' in reasons['c'][0]
    assert 'computed in the run' in reasons['kv'][0]


def test_messages_and_hops_equal_those_of_every_neuron(tiny_chip):
    """Against a list of neurons, their cores and the way between them."""
    network = Network(
        (Population('in', (2, 6), spikes=(1., ), kind='input'),
         Population('a', (4, 6), spikes=(6., )),
         Population('b', (4, 6), spikes=(1., ))),
        (Projection('p', 'in', 'a', 'linear', sops=(1., )),
         Projection('q', 'a', 'b', 'conv', geometry=conv(4, 6, 3),
                    sops=(60., ))))
    chip = tiny_chip({'limits.cores': 64, 'limits.mesh_width': 8,
                      'limits.mesh_height': 8, 'limits.axons_out': 99})
    mapping = map_network(network, chip)
    loads = count_loads(mapping)
    row = loads.received[1]

    def core(name, index):
        s = mapping.slices[name]
        at = [int(np.searchsorted(e, i, side='right')) - 1
              for e, i in zip(s.edges, index)]
        return s.first_core + at[0] + at[1] * s.blocks[0]

    def tile(number):
        y, x = divmod(number, 8)
        return (7 - x if y % 2 else x), y

    messages = hops_x = hops_y = 0
    for c, x in itertools.product(range(4), range(6)):
        here = core('a', (c, x))
        reached = {
            core('b', (o, t))
            for o in range(4) for t in (x - 1, x, x + 1) if 0 <= t < 6
        }
        messages += len(reached)
        for there in reached:
            (ax, ay), (bx, by) = tile(here), tile(there)
            hops_x, hops_y = hops_x + abs(ax - bx), hops_y + abs(ay - by)
    # 6 of 24 neurons fire, each alike.
    assert row.messages.sum() == pytest.approx(messages / 4)
    assert loads.fired['a'].messages.sum() == pytest.approx(messages / 4)
    assert row.messages.sum() * row.travel.hops_ew == \
        pytest.approx(hops_x / 4)
    assert row.messages.sum() * row.travel.hops_ns == \
        pytest.approx(hops_y / 4)
    assert row.additions.sum() == pytest.approx(60)


def test_messages_and_hops_of_a_part_in_another_order(tiny_chip):
    """Against a list of neurons: 3 of 4 channels, backwards, of a layer whose
    channels lie last; in the target they do, too."""
    picks = (3, -1, 0, 1)
    network = Network(
        (Population('in', (2, 6), spikes=(1., ), kind='input'),
         Population('a', (6, 4), spikes=(6., )),
         Population('b', (6, 4), spikes=(1., ))),
        (Projection('p', 'in', 'a', 'linear', sops=(1., )),
         Projection('q', 'a', 'b', 'conv', geometry=conv(4, 6, 3),
                    sops=(60., ), picks=(picks, (5, 4, 3, 2, 1, 0)),
                    source_axes=(1, 0), target_axes=(1, 0),
                    spikes_read=(4., ))))
    chip = tiny_chip({'limits.cores': 64, 'limits.mesh_width': 8,
                      'limits.mesh_height': 8, 'limits.axons_out': 99})
    mapping = map_network(network, chip)
    loads = count_loads(mapping)
    row = loads.received[1]

    def core(name, index):
        s = mapping.slices[name]
        at = [int(np.searchsorted(e, i, side='right')) - 1
              for e, i in zip(s.edges, index)]
        return at[0] + at[1] * s.blocks[0]

    def tile(name, number):
        y, x = divmod(mapping.slices[name].first_core + number, 8)
        return (7 - x if y % 2 else x), y

    assert mapping.slices['a'].cores > 2 and mapping.slices['b'].cores > 2
    hops = 0
    sent = np.zeros(mapping.slices['a'].cores)
    arrived = np.zeros(mapping.slices['b'].cores)
    for x, c in itertools.product(range(6), range(4)):
        here = core('a', (x, c))
        if c not in picks:
            continue
        place = 5 - x  # of the op, which reads backwards
        reached = {
            core('b', (t, o)) for o in range(4)
            for t in (place - 1, place, place + 1) if 0 <= t < 6
        }
        sent[here] += len(reached)
        for there in reached:
            arrived[there] += 1
            hops += sum(abs(p - q) for p, q in zip(tile('a', here),
                                                   tile('b', there)))
    # 4 spikes of the 18 neurons that are read, each alike.
    share = 4 / 18
    assert row.sent[0] == pytest.approx(share * sent)
    assert row.messages[0] == pytest.approx(share * arrived)
    assert loads.fired['a'].spikes.sum() == pytest.approx(6)
    assert row.messages.sum() * (
        row.travel.hops_ew + row.travel.hops_ns) == pytest.approx(share * hops)
    assert row.additions.sum() == pytest.approx(60)
    # Earliest and latest source of each target core.
    times = np.arange(1., 1 + mapping.slices['a'].cores)
    for reduce, pick in ((np.minimum, min), (np.maximum, max)):
        found = _over_sources(row, times, reduce)
        for there in range(len(found)):
            sources = [
                times[core('a', (x, c))] for x in range(6) for c in picks
                if c >= 0 and there in {
                    core('b', (t, o)) for o in range(4)
                    for t in (4 - x, 5 - x, 6 - x) if 0 <= t < 6}
            ]
            assert found[there] == pick(sources)


def test_additions_without_a_connection_are_refused(tiny_chip):
    network = chain((2, 3), (2, 3), op='conv', geometry=conv(2, 3, 1),
                    source_offset=2)
    with pytest.raises(ValueError, match="'p1' has additions"):
        count_loads(map_network(network, tiny_chip()))


def test_speck_gives_each_layer_a_core_of_its_own():
    """Two cores hold 65,536 weights, those that others must not take."""
    speck = load_chip('speck')
    small, large = (2, ), (256, )
    nine = chain(small, *[small] * 6, large, large, large)
    assert all(la.fits for la in map_network(nine, speck).layers)
    ten = map_network(chain(small, *[small] * 10), speck)
    (reason, ), = [la.reasons for la in ten.layers if la.reasons]
    assert 'the 9 cores of speck hold one layer each' in reason
    three = map_network(chain(large, large, large, large), speck)
    assert sum(not la.fits for la in three.layers) == 1
    huge = map_network(chain(small, (70_000, )), speck).layers[0]
    assert 'the whole layer needs 70,000 neurons' in huge.reasons[0]


def test_no_more_cores_than_layers_are_looked_at(tiny_chip):
    """2^40 cores of one layer each, of which two are enough or one is not."""
    many = {'limits.cores': 2**40, 'limits.mesh_width': 2**40,
            'support.split_layers': False}
    network = chain((2, ), (2, ), (4, ))
    mapping = map_network(network, tiny_chip(many))
    assert all(la.fits for la in mapping.layers) and mapping.cores == 2
    few = map_network(network, tiny_chip({**many, 'limits.cores': 1}))
    (reason, ), = [la.reasons for la in few.layers if la.reasons]
    assert 'the 1 cores of tiny hold one layer each' in reason


def test_fan_out_of_speck():
    layers = [Population(n, (2, ), spikes=(1., )) for n in 'abcd']
    network = Network(
        tuple(layers),
        tuple(
            Projection(n, 'a', n, 'linear', weights=4, synapses=4,
                       sops=(2., )) for n in 'bcd'))
    reasons = map_network(network, load_chip('speck')).layers[0].reasons
    assert reasons == ('it feeds 3 layers, speck allows 2', )


@pytest.mark.parametrize('length', [1, 2, 7, 30, 97])
def test_block_sizes_are_all_that_matter(length):
    """For each number of parts, the smallest block that gives so many."""
    assert block_sizes(length) == sorted(
        {-(-length // parts) for parts in range(1, length + 1)},
        reverse=True)
