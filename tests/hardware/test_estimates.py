"""The entry point: one result for one chip or many, with cores or without."""

import csv
import json

import pytest
import torch

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import (
    Estimate,
    MissingFigureError,
    estimate,
    list_chips,
    load_chip,
    network_from_trace,
)
from mmsnn.hardware.on_chip.estimate import estimate_on_chip
from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.layers import SpikeLinear


@pytest.fixture
def recorded():
    """6 inputs of 1 and 2 spikes reach 3 outputs each: 27 additions."""
    fc = SpikeLinear(6, 3, neuron=dict(type='mmsnn.SFANeuron', max_spikes=2))
    with to_spike_train(fc, 'counts') as spiking:
        spiking(torch.tensor([[1., 1., 1., 2., 2., 2.]]))
    return spiking.trace


def test_the_parts_are_what_their_rooms_give(recorded):
    network = network_from_trace(recorded)
    found = estimate(recorded, ['cmos45', load_chip('loihi')])
    assert found.operations == (estimate_operations(recorded, 'cmos45'), )
    assert found.on_chip == tuple(estimate_on_chip(network, 'loihi'))
    assert found.chips == ('cmos45', 'loihi') and not found.failed
    assert found['spiking_fp32'].energy_mj == pytest.approx(
        (27 * .9 + 3 * .9) * 1e-9)  # 27 additions, 3 biases
    assert found['cmos45'] == estimate(recorded)
    assert found['loihi'] == estimate(network, 'loihi')
    assert found['loihi'] == estimate(recorded, 'loihi', network=network)


def test_a_spec_may_have_both(recorded, tiny_chip, tmp_path):
    chip = tiny_chip()
    text = open(chip.path).read() + '''
fp32:
  ac: {value: 2.0, unit: pJ, source: this test, status: read}
  add: {value: 3.0, unit: pJ, source: this test, status: read}
  mac: {value: 5.0, unit: pJ, source: this test, status: read}
'''
    path = tmp_path / 'both.yaml'
    path.write_text(text)
    found = estimate(recorded, path)
    assert found.chips == ('tiny', )
    assert found['spiking_fp32'].energy_mj == pytest.approx(63e-9)
    assert [e.timing for e in found.on_chip] == ['synchronous',
                                                 'asynchronous']
    assert found['tiny'] == found


def test_a_wrong_name_lists_the_valid_ones(recorded):
    with pytest.raises(ValueError) as error:
        estimate(recorded, ['cmos45', 'Loihi'])
    assert str(error.value) == (
        "unknown chip 'Loihi' (did you mean 'loihi'?): give one of "
        f'{", ".join(list_chips())} or the path of an existing YAML chip '
        'spec')
    with pytest.raises(ValueError, match='chips must name at least one'):
        estimate(recorded, [])


def test_results_of_several_chips_are_told_apart(recorded):
    found = estimate(recorded, ['cmos45', 'cmos45_memory'])
    with pytest.raises(KeyError, match='take one first'):
        found['spiking_fp32']
    assert found['cmos45']['spiking_fp32'] == found.operations[0].results[0]
    with pytest.raises(KeyError, match=r"no chip and no result 'spiking_fp23' "
                       r"\(did you mean 'spiking_fp32'\?\): have cmos45, "):
        found['spiking_fp23']
    with pytest.raises(KeyError, match="did you mean 'cmos45'"):
        found['cmos45']['cmos54']


def test_what_gives_nothing_is_named_or_raises(recorded, tiny_chip):
    network = network_from_trace(recorded)
    with pytest.raises(MissingFigureError, match='cmos45.*needs an op trace'):
        estimate(network, 'cmos45')
    found = estimate(network, ['cmos45', 'loihi'], missing='report')
    assert list(found.failed) == ['cmos45'] and len(found.on_chip) == 1
    assert found.chips == ('loihi', 'cmos45')
    assert 'cmos45: not measured: chip spec' in str(found)
    chip = tiny_chip({'events.synop': None})
    with pytest.raises(MissingFigureError, match="events.synop.*null.*"
                       "missing='report'.* in place of 'raise'$"):
        estimate(recorded, chip)
    # A wrong option is no property of a chip.
    with pytest.raises(ValueError, match='mode must be one of'):
        estimate(recorded, 'loihi', mode='fast', missing='report')


def test_it_prints_plots_and_saves(recorded, tmp_path):
    found = estimate(recorded, ['cmos45', 'cmos45_memory', 'loihi'])
    text = str(found)
    assert 'Energy on 45 nm CMOS arithmetic (cmos45)' in text
    assert found.on_chip[0].summary in text
    names = [name for name, _, caption in found.plot() if caption]
    assert names == [
        'energy_totals.png', 'energy_by_layer.png',
        'cmos45_memory_energy_totals.png', 'cmos45_memory_energy_by_layer.png',
        'chips_energy.png', 'loihi_layers.png', 'loihi_utilisation.png']
    written = found.save(tmp_path / 'new')
    assert {p.name for p in written} == {
        'estimate.json', 'ops_cmos45.csv', 'ops_cmos45_memory.csv',
        'chips.csv', *names}
    assert sorted(written) == sorted((tmp_path / 'new').iterdir())
    raw = json.loads((tmp_path / 'new' / 'estimate.json').read_text())
    assert raw == json.loads(json.dumps(found.to_dict()))
    # 27, and the 6 membranes of the input that the neurons are given.
    assert raw['chips'][0]['events']['synaptic additions'] == 33
    with open(tmp_path / 'new' / 'chips.csv') as file:
        rows = list(csv.DictReader(file))
    assert {r['name'] for r in rows} == {
        r.name for r in found.on_chip[0].rows if r.energy_mj}
    assert sum(float(r['high_mj']) for r in rows
               if r['cause'] == 'synapses') == pytest.approx(
        found.on_chip[0].energy_mj['synapses'].high)


def test_the_last_lines_are_the_verdicts(recorded):
    # 27 additions and 3 biases of 0.9 pJ beside 18 products of 4.6 pJ and
    # the biases; with INT8 weights 0.03, 0.1 and 0.23 pJ.
    found = estimate(recorded, ['cmos45', 'loihi'])
    assert str(found).splitlines()[-4:] == [
        '',
        'Verdict on cmos45, FP32 weights: the spiking form costs 0.316 x the '
        'float twin: wins',
        'Verdict on cmos45, INT8 weights: the spiking form costs 0.25 x the '
        'quantised twin: wins',
        'Verdict on loihi, synchronous lossless: the network does NOT fit'
    ]
    failed = Estimate(failed=dict(odd='no figure'))
    assert failed.verdicts == ['Verdict on odd: not measured']


def test_nothing_is_a_result_too():
    assert str(Estimate()) == '' and Estimate().plot() == []
    assert Estimate().to_dict() == dict(estimates=[], chips=[], failed={})


@pytest.mark.parametrize('wrong, what', [
    (dict(trace=SpikeLinear), 'trace must be an OpTrace or a Network, got '),
    (dict(trace=None), 'trace must be an OpTrace or a Network, got NoneType'),
    (dict(network='x.json'), 'network must be an OpTrace or a Network, got '
     'str; a converted model has it as model.trace'),
    (dict(chips=5), 'chips are names or paths of chip specs, or specs, got '
     'int'),
])
def test_what_is_no_trace_or_chip_is_named(recorded, wrong, what):
    with pytest.raises(TypeError, match=what):
        estimate(**dict(dict(trace=recorded), **wrong))


def test_a_chip_or_a_memory_that_can_not_be_told(recorded):
    with pytest.raises(ValueError, match='chips names .*cmos45.yaml twice'):
        estimate(recorded, ['cmos45', 'cmos45'])
    with pytest.raises(ValueError, match='memory must be one of sram_8kb'):
        estimate(recorded, 'loihi', memory='dram', missing='report')


def test_what_it_holds(recorded):
    found = estimate(recorded, ['cmos45', 'loihi'])
    assert list(found) == ['cmos45', 'loihi']
    assert 'loihi' in found and 'spiking_fp32' in found
    assert 'speck' not in found


def test_what_runs_outside_the_cores_is_printed():
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 6), SpikeLinear(6, 3, neuron=dict(
            type='mmsnn.SFANeuron'))).eval()
    with to_spike_train(model, 'counts') as spiking:
        spiking(8 * torch.rand(1, 4))
    assert ('not in it, since it runs outside the cores: 0: its input is '
            'real-valued') in str(estimate(spiking.trace, 'loihi'))


def test_one_part_of_a_spec_may_fail(recorded, tmp_path, tiny_chip):
    path = tmp_path / 'half.yaml'
    path.write_text(open(tiny_chip().path).read() + """
int8:
  mac: {value: 2.0, unit: pJ, source: this test, status: read}
""")
    found = estimate(recorded, path, missing='report')
    assert not found.operations and 'int8.ac' in found.failed['tiny']
    assert found.on_chip == estimate(recorded, tiny_chip()).on_chip
    with pytest.raises(KeyError, match='int8.ac'):
        found['spiking_fp32']
    with pytest.raises(MissingFigureError, match='int8.ac'):
        estimate(recorded, path)


def test_a_chip_stays_in_its_folder(recorded, tmp_path, tiny_chip):
    path = tmp_path / 'up.yaml'
    path.write_text(open(tiny_chip().path).read().replace(
        'name: tiny', 'name: a/../../b'))
    with pytest.raises(ValueError, match='name must be letters, digits'):
        estimate(recorded, path)
