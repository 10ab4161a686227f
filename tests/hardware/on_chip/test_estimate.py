"""Energy and time of one and two cores, worked out by hand.

The chip: pJ and ns per event are 1 (addition), 2 (neuron looked at), 3
(updated), 5 (fired), 7 (message sent), 11 (received), 13 (hop along x); a
barrier takes 23 ns, static power is 1 mW = 1 pJ/ns.
"""

from dataclasses import replace

import pytest

from mmsnn.hardware import (
    MissingFigureError,
    Network,
    Population,
    Projection,
    Range,
    estimate,
    load_chip,
)


def one_core():
    """4 neurons, fed by 4 spikes of 3 inputs in D = 2 sub-steps."""
    return Network(
        (Population('in', (3, ), max_spikes=2, spikes=(3., 1.), kind='input'),
         Population('a', (4, ), max_spikes=2, spikes=(2., 1.))),
        (Projection('fc', 'in', 'a', 'linear', weights=12, synapses=12,
                    sops=(12., 4.)), ))


def two_cores():
    """4 neurons on core 0 that the host feeds, 2 neurons on core 1."""
    return Network(
        (Population('image', (3, ), kind='input'),
         Population('a', (4, ), max_spikes=2, spikes=(3., 1.)),
         Population('b', (2, ), max_spikes=2, spikes=(1., 0.))),
        (Projection('stem', 'image', 'a', 'linear', weights=12, synapses=12,
                    macs=12.),
         Projection('fc', 'a', 'b', 'linear', weights=8, synapses=8,
                    sops=(6., 2.))))


def pj(energies):
    return {cause: pytest.approx(e.low * 1e9)
            for cause, e in energies.items()}


def test_one_core_synchronous(tiny_chip):
    result = estimate(one_core(), tiny_chip()).on_chip[0]
    assert (result.fits, result.cores, result.chips) == (True, 1, 1)
    # The input fires in window 1, the neurons in window 2.
    assert (result.depth, result.substeps, result.interval_substeps) == (2, 4,
                                                                         2)
    # Sub-steps: input 3 * 11 + 12 = 45 and 11 + 4 = 15, neurons waiting
    # 4 * (2 + 3) = 20; firing 20 + 2 * 5 = 30 and 20 + 5 = 25; barriers.
    alone = (45 + 20 + 30 + 25) + 4 * 23
    assert result.latency_ms.low * 1e6 == pytest.approx(alone)
    # In a pipeline it does both at once: max(45, 30), max(15, 25).
    assert result.interval_ms.low * 1e6 == pytest.approx(45 + 25 + 2 * 23)
    assert result.throughput.low == pytest.approx(1e9 / 116)
    assert result.utilisation.tolist() == pytest.approx([70 / 116])
    assert result.events == {
        'synaptic additions': 16, 'messages received': 4, 'hops along x': 0,
        'hops along y': 0, 'steps between chips': 0,
        'neurons looked at': 4 * 4, 'neurons updated': 4 * 4, 'spikes': 3,
        'messages sent': 0}
    assert pj(result.energy_mj) == {
        'synapses': 16, 'neuron access': 32, 'neuron update': 48,
        'neuron fire': 15, 'messages': 44, 'static power': alone}
    assert pj(result.pipeline_mj) == {
        'synapses': 16, 'neuron access': 16, 'neuron update': 24,
        'neuron fire': 15, 'messages': 44, 'static power': 116}
    assert result.total_mj.low * 1e9 == pytest.approx(155 + alone)


def test_one_core_asynchronous(tiny_chip):
    result, = estimate(
        one_core(), tiny_chip(), timing='asynchronous').on_chip
    # 4 messages and 16 additions; then 4 neurons and 3 spikes.
    work, firing = 4 * 11 + 16, (4 + 3) * 5 + 3 * 5
    assert result.latency_ms.low * 1e6 == pytest.approx(work + firing)
    assert result.interval_ms == result.latency_ms
    assert result.events['neurons looked at'] == 7
    assert result.utilisation.tolist() == [1]


def test_two_cores_synchronous(tiny_chip):
    result = estimate(two_cores(), tiny_chip()).on_chip[0]
    assert (result.cores, result.substeps) == (2, 4)
    # a fires: 4 * 5 + 3 * (5 + 7), 4 * 5 + 5 + 7; then b: 2 * 5 + 5, 2 * 5.
    alone = (56 + 32 + 15 + 10) + 4 * 23
    assert result.latency_ms.low * 1e6 == pytest.approx(alone)
    assert result.interval_ms.low * 1e6 == pytest.approx(56 + 32 + 2 * 23)
    # b receives 3 * 11 + 6, 11 + 2, more than it sends.
    assert result.utilisation.tolist() == pytest.approx(
        [88 / 134, (39 + 13) / 134])
    # a is set from outside and fires for 2 sub-steps, b integrates for 2 and
    # fires for 2.
    assert pj(result.energy_mj) == {
        'synapses': 8, 'neuron access': 6 * 4 * 2,
        'neuron update': (4 * 2 + 2 * 4) * 3,
        'neuron fire': 5 * 5, 'messages': 4 * 7 + 4 * 11, 'hops': 4 * 13,
        'static power': alone}
    assert any('stem' in text and '12 multiply' in text
               for text in result.conditions)
    rows = {row.name: row for row in result.rows}
    assert list(rows) == ['a', 'fc', 'b']
    assert pj(rows['fc'].energy_mj) == {
        'synapses': 8, 'messages': 44, 'hops': 52}
    assert rows['b'].utilisation.low == pytest.approx(52 / 134)


def test_two_cores_asynchronous(tiny_chip):
    result, = estimate(
        two_cores(), tiny_chip(), timing='asynchronous').on_chip
    # a: 4 neurons, 4 spikes, 4 messages: 88 ns. The last message takes 13 ns;
    # b has worked off the others by then, looks at 2 neurons, fires once.
    assert result.latency_ms.low * 1e6 == pytest.approx(88 + 13 + 20)
    assert result.interval_ms.low * 1e6 == pytest.approx(88)
    assert result.burst.messages == 0
    assert result.burst.pressure == pytest.approx(52 / 88)
    free = estimate(two_cores(), tiny_chip(), timing='asynchronous',
                            mode='free_running').on_chip[0]
    assert free.latency_ms.low * 1e6 == pytest.approx(88 + 13)
    assert any('in truth they change' in text for text in free.assumptions)


def test_membranes_of_accumulators_take_time(tiny_chip):
    network = Network(
        (Population('in', (3, ), max_spikes=2, spikes=(1., 1.), kind='input'),
         Population('sum', (2, ), kind='real'),
         Population('b', (2, ), max_spikes=2, spikes=(1., 0.))),
        (Projection('fc', 'in', 'sum', 'linear', weights=6, synapses=6,
                    sops=(2., 2.)),
         Projection('add', 'sum', 'b', 'residual', adds=2.)))
    result = estimate(network, tiny_chip()).on_chip[0]
    # In the first window the sums take 13 and 13 ns for what arrives, and hand
    # 2 membranes on: 2 * 5 + 2 * 7 for them, 2 * 11 + 2 for b. b fires in the
    # second: 2 * 5 + 5 and 2 * 5.
    alone = (24 + 13) + (15 + 10) + 4 * 23
    assert result.latency_ms.low * 1e6 == pytest.approx(alone)
    assert result.interval_ms.low * 1e6 == pytest.approx(24 + 13 + 2 * 23)
    # The sums are updated in the 2 sub-steps in which they integrate, b in
    # the one that brings its membranes and the 2 in which it fires.
    assert result.events['neurons updated'] == 2 * 2 + 2 * 3


def test_links_between_chips_take_time_beside_transport(tiny_chip):
    chip = tiny_chip({
        'latency.transport': 50, 'latency.link': None, 'limits.cores': 1,
        'limits.mesh_width': 1, 'limits.mesh_height': 1})
    result = estimate(two_cores(), chip, timing='asynchronous',
                              missing='report').on_chip[0]
    assert result.chips == 2 and result.latency_ms is None
    assert 'latency.link' in result.missing['latency']


def test_a_number_for_each_core_needs_layers_that_are_not_split(tiny_chip):
    chip = tiny_chip({'limits.neurons': [4, 1], 'limits.cores': 2})
    with pytest.raises(ValueError, match='limits.neurons lists a number for '
                       'each core, which needs support.split_layers: false'):
        estimate(two_cores(), chip).on_chip[0]


def test_a_burst_fills_the_queue(tiny_chip):
    chip = tiny_chip({'latency.synop': 20, 'limits.queue': 2})
    result = estimate(two_cores(), chip, timing='asynchronous').on_chip[0]
    # 4 messages of 51 ns each arrive within 88 ns.
    work = 4 * 11 + 8 * 20
    assert result.latency_ms.low * 1e6 == pytest.approx(13 + work + 20)
    assert result.burst.population == 'b'
    assert result.burst.messages == pytest.approx((work - 88) / 51)
    assert result.burst.pressure == pytest.approx(work / 88)
    assert result.overflow.low == pytest.approx((work - 88) / 51 - 2)


def test_a_fixed_time_step_sets_the_time(tiny_chip):
    result = estimate(one_core(), tiny_chip({'latency.tick': 1000})).on_chip[0]
    assert result.latency_ms == Range(4e-3, 4e-3)
    assert result.interval_ms == Range(2e-3, 2e-3)
    assert result.utilisation.size == 0


def test_ranges_give_ranges(tiny_chip):
    chip = tiny_chip({'events.synop': dict(low=1, high=3),
                      'latency.barrier': dict(low=23, high=30),
                      'power.static': dict(low=1, high=2)})
    result = estimate(one_core(), chip).on_chip[0]
    assert [e * 1e9 for e in result.energy_mj['synapses'].ends] == \
        pytest.approx([16, 48])
    assert [t * 1e6 for t in result.latency_ms.ends] == pytest.approx(
        [212, 240])
    assert [e * 1e9 for e in result.energy_mj['static power'].ends] == \
        pytest.approx([212, 480])
    assert result.throughput.low < result.throughput.high
    barrier = next(c for c in result.constants if c.name == 'latency.barrier')
    assert str(barrier.value) == '23 to 30' and barrier.source == 'this test'


@pytest.mark.parametrize('figure, result', [
    ('events.synop', 'the energy of synaptic additions'),
    ('power.static', 'the energy of static power'),
    ('latency.barrier', 'synchronous latency'),
])
@pytest.mark.parametrize('value', [None, 'absent'])
def test_a_missing_figure_is_named_with_what_needs_it(
        tiny_chip, figure, result, value):
    chip = tiny_chip({figure: value})
    with pytest.raises(MissingFigureError, match=f'{result}.*{figure}'):
        estimate(one_core(), chip).on_chip[0]
    reported = estimate(one_core(), chip, missing='report').on_chip[0]
    assert any(figure in text for text in reported.missing.values())
    assert reported.total_mj is None
    assert (reported.latency_ms is None) == figure.startswith('latency')


def test_a_contained_figure_is_not_charged_again(spec):
    chip = spec('loihi', {})
    result = estimate(two_cores(), chip).on_chip[0]
    assert result.energy_mj['neuron fire'] == Range(0, 0)
    constant = next(c for c in result.constants if c.name == 'events.fire')
    assert constant.value is None
    assert constant.charged_for == ['spikes (contained in events.update)']
    assert all(c.source and c.status for c in result.constants)


def test_two_chips_pay_for_the_link(tiny_chip):
    chip = tiny_chip({'limits.cores': 1, 'limits.mesh_width': 1,
                      'limits.mesh_height': 1})
    result = estimate(two_cores(), chip).on_chip[0]
    assert result.chips == 2
    assert result.events['steps between chips'] == 4
    assert result.energy_mj['chip links'].low * 1e9 == pytest.approx(4 * 19)


def test_more_chips_than_there_are_do_not_fit(tiny_chip):
    chip = tiny_chip({'limits.chips': 1, 'limits.cores': 1})
    result = estimate(two_cores(), chip).on_chip[0]
    assert not result.fits and '2 cores' in result.reasons['all layers'][0]


def test_spinnaker_2_is_a_range_and_speck_has_no_energy():
    energy = estimate(one_core(), 'spinnaker2', missing='report').on_chip[0]
    low, high = energy.energy_mj['synapses'].ends
    assert (low * 1e9, high * 1e9) == pytest.approx((160, 7200))
    assert 'latency.tick' in energy.missing['latency']
    speck = estimate(two_cores(), 'speck', missing='report').on_chip[0]
    assert speck.timing == 'asynchronous'
    assert 'events.synop' in speck.missing['energy of synaptic additions']
    # 8 additions at 33.3 ns; the last message takes 222 ns.
    assert speck.latency_ms.low * 1e6 == pytest.approx(222 + 8 * 33.3)


@pytest.mark.parametrize('arguments, message', [
    (dict(timing='soon'), 'timing must be one of synchronous, asynchronous'),
    (dict(mode='fast'), 'mode must be one of lossless, free_running'),
    (dict(mode='free_running', timing='synchronous'),
     "needs timing='asynchronous'"),
    (dict(missing='skip'), 'missing must be one of raise, report'),
    (dict(weights='both'), 'weights must be one of shared, unrolled'),
    (dict(weight_bits=0), 'weight_bits must be a whole number from 1'),
])
def test_wrong_arguments_are_named(tiny_chip, arguments, message):
    with pytest.raises(ValueError, match=message):
        estimate(one_core(), tiny_chip(), **arguments).on_chip[0]


def test_a_network_without_spikes_is_refused(tiny_chip):
    network = one_core()
    silent = replace(
        network,
        populations=tuple(
            replace(p, spikes=(0., 0.)) for p in network.populations),
        projections=(replace(network.projections[0], sops=()), ))
    with pytest.raises(ValueError, match='no spike reaches a synapse'):
        estimate(silent, tiny_chip()).on_chip[0]


def test_a_spec_without_cores_says_what_to_use():
    with pytest.raises(MissingFigureError, match='cmos45.*describes no cores'):
        estimate(one_core(), load_chip('cmos45')).on_chip[0]


@pytest.mark.parametrize('synchronous, asynchronous, timings', [
    (True, True, ['synchronous', 'asynchronous']),
    (True, False, ['synchronous']),
    (False, True, ['asynchronous']),
    (None, True, ['asynchronous']),
    (None, None, ['synchronous']),
    (False, 'absent', ['asynchronous']),
])
def test_an_estimate_for_each_timing(tiny_chip, synchronous, asynchronous,
                                     timings):
    chip = tiny_chip({'support.synchronous': synchronous,
                      'support.asynchronous': asynchronous})
    found = list(estimate(
        two_cores(), chip, weights='unrolled', weight_bits=4).on_chip)
    assert [e.timing for e in found] == timings
    assert found == [
        estimate(two_cores(), chip, weights='unrolled', timing=timing,
                 weight_bits=4).on_chip[0]
        for timing in timings
    ]
    assert estimate(two_cores(), chip).on_chip[0].timing == timings[0]


def test_free_running_has_one_timing(tiny_chip):
    free, = estimate(two_cores(), tiny_chip(), mode='free_running').on_chip
    assert (free.timing, free.mode) == ('asynchronous', 'free_running')
    chip = tiny_chip({'support.asynchronous': False})
    with pytest.raises(ValueError, match='which tiny does not support'):
        estimate(two_cores(), chip, mode='free_running').on_chip


def test_all_timings_share_one_mapping(tiny_chip, monkeypatch):
    from mmsnn.hardware.on_chip import estimate as on_chip
    calls = []
    mapped = on_chip.map_network
    monkeypatch.setattr(on_chip, 'map_network', lambda *arguments: (
        calls.append(arguments), mapped(*arguments))[1])
    assert len(estimate(two_cores(), tiny_chip()).on_chip) == 2
    assert len(calls) == 1


def test_the_result_is_ready_for_json(tiny_chip):
    import json
    raw = json.loads(json.dumps(
        estimate(two_cores(), tiny_chip()).on_chip[0].to_dict()))
    assert raw['total_mj']['low'] == raw['total_mj']['high'] > 0
    assert raw['utilisation']['most'] == pytest.approx(88 / 134)
    assert [r['name'] for r in raw['rows']] == ['a', 'fc', 'b']
