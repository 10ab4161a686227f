import json
import math
import random
import re
from pathlib import Path

import pytest

from mmsnn.hardware import MissingFigureError
from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.trace import OpRecord, OpTrace

# pJ per image of the worked example, by hand.
BY_HAND = {
    # (100 * 0.9 + 576 * 4.6 + 52 * 0.9) / 2
    'spiking_fp32': (90 + 2649.6 + 46.8) / 2,
    # 0.9 * (576 * 7 / 64 + 320 * 5 / 32) = 0.9 * (63 + 50)
    'formula_fp32': (2649.6 + 101.7) / 2,
    # 576 + 576 + 320 = 1472 multiply-accumulates
    'float_twin_fp32': (1472 * 4.6 + 46.8) / 2,
    # the image has 8 bits, membranes are INT32
    'spiking_int8': (100 * 0.03 + 576 * 0.23 + 52 * 0.1) / 2,
    'quantised_twin_int8': (1472 * 0.23 + 52 * 0.1) / 2,
}


def synapse(module='fc', **changes):
    fields = {
        'kind': 'linear',
        'op': 'linear',
        'spiking': True,
        'dense_ops': 100,
        'sops': 10,
        'in_spikes': 10,
        'in_elements': 100,
        'max_spikes': 4}
    fields.update(changes)
    return OpRecord(module, **fields)


def approx_pj(value):
    return pytest.approx(value * 1e-9, rel=1e-12)


def test_worked_example_totals(example):
    result = estimate_operations(example)
    assert result.keys == tuple(BY_HAND)
    for key, value in BY_HAND.items():
        assert result[key].energy_mj == approx_pj(value), key


def test_worked_example_causes(example):
    result = estimate_operations(example)
    causes = result['spiking_fp32'].causes
    assert causes == {
        'synapse ACs': approx_pj(45),
        'synapse MACs': approx_pj(1324.8),
        'additions': approx_pj(23.4)
    }
    counts = result['spiking_fp32'].counts
    # 32 + 16 neurons, 4 sub-steps
    assert counts == {
        'synapse ACs': 50,
        'synapse MACs': 288,
        'additions': 26,
        'neuron updates': 192
    }


def test_worked_example_layers(example):
    stem, conv, fc = estimate_operations(example).layers
    assert [x.module for x in (stem, conv, fc)] == ['stem', 'conv', 'fc']
    assert stem.energy_mj['spiking_fp32'] == approx_pj(1324.8)
    assert conv.rate == 7 / 64
    assert (conv.sops, conv.adds, conv.dense_ops) == (25, 16, 288)
    assert conv.energy_mj['spiking_fp32'] == approx_pj(25 * .9 + 16 * .9)
    assert conv.energy_mj['formula_fp32'] == approx_pj(31.5 * .9)
    assert conv.energy_mj['float_twin_fp32'] == approx_pj(288 * 4.6 + 14.4)
    assert fc.energy_mj['quantised_twin_int8'] == approx_pj(160 * .23 + 1)


def test_worked_example_comparisons(example):
    fp32, int8 = estimate_operations(example).comparisons
    assert fp32.ratio == pytest.approx(2786.4 / 6818)
    assert int8.ratio == pytest.approx(140.68 / 343.76)
    assert (fp32.verdict, int8.verdict) == ('wins', 'wins')
    assert fp32.break_even_rate == pytest.approx(4.6 / 0.9)
    assert int8.break_even_rate == pytest.approx(0.23 / 0.03)
    # 100 additions, 576 + 320 operations of spiking synapses
    assert fp32.mean_rate == pytest.approx(100 / 896)


def test_worked_example_differences(example):
    by_cause = {x.cause: x.energy_mj
                for x in estimate_operations(example).differences}
    assert by_cause == {
        'spiking convolutions': approx_pj((63 - 50) * 0.9 / 2),
        'operations that the formula leaves out': approx_pj(-23.4)
    }


def test_worked_example_neuron_updates_are_named(example):
    text = estimate_operations(example).not_charged[-1]
    assert text.startswith('192 neuron updates per image')
    # 2 * 192 * 0.9 and 2 * 192 * 0.1 pJ
    assert '3.46e-07 mJ (fp32.add) or 3.84e-08 mJ (int32.add)' in text


def test_neuron_updates_that_a_range_would_price_are_named(example, chip_with):
    chip = chip_with({'fp32.add': dict(low=0.9, high=1.8)})
    text = estimate_operations(example, chip).not_charged[-1]
    assert '3.46e-07 to 6.91e-07 mJ (fp32.add) or 3.84e-08 mJ' in text


def test_comparisons_never_mix_precisions(example):
    result = estimate_operations(example)
    for comparison in result.comparisons:
        assert (result[comparison.spiking].precision ==
                result[comparison.twin].precision == comparison.precision)


def test_spiking_form_can_lose():
    record = synapse(sops=800, in_spikes=800, max_spikes=8)
    result = estimate_operations(OpTrace([record], images=1))
    fp32, int8 = result.comparisons
    assert fp32.ratio == pytest.approx(8 * 0.9 / 4.6)
    assert int8.ratio == pytest.approx(8 * 0.03 / 0.23)
    assert (fp32.verdict, int8.verdict) == ('loses', 'loses')
    assert 'loses' in fp32.sentence
    assert fp32.caveat == int8.caveat == ''
    assert result.activation_bits == 4


def test_equal_costs_are_called_equal(chip_with):
    record = synapse(sops=100, in_spikes=100, max_spikes=1)
    chip = chip_with({'fp32.mac': 0.9})
    comparison = estimate_operations(
        OpTrace([record], images=1), chip).comparisons[0]
    assert comparison.verdict == 'equal'
    assert 'equals it' in comparison.sentence


def test_where_no_synapse_can_lose_it_is_said(example):
    result = estimate_operations(example)
    fp32, int8 = result.comparisons
    assert 'no spiking synapse can lose' in fp32.caveat
    assert result.verdicts == [fp32.sentence, int8.sentence, fp32.caveat]


def test_every_real_operation_is_charged():
    records = [
        synapse(sops=0, in_spikes=0),
        OpRecord('up', 'interpolate', 'upsample', macs=7, dense_ops=99),
        OpRecord('pool', 'pool', 'max_pool2d', comparisons=5),
        OpRecord('softmax', 'real', 'softmax', other=3)
    ]
    result = estimate_operations(OpTrace(records, images=1))
    pj = 7 * 4.6 + 5 * 0.9 + 3 * 4.6
    assert result['spiking_fp32'].energy_mj == approx_pj(pj)
    assert result['float_twin_fp32'].energy_mj == approx_pj(pj + 460)
    pj = 7 * 3.2 + 5 * 0.1 + 3 * 3.2  # on membranes: INT32
    assert result['spiking_int8'].energy_mj == approx_pj(pj)
    assert result['quantised_twin_int8'].energy_mj == approx_pj(pj + 23)
    # the formula knows synapses only
    assert result['formula_fp32'].energy_mj == 0
    text = ' '.join(result.assumptions)
    assert 'Comparisons have no figure' in text
    assert 'Other operations have no figure' in text


def test_figures_for_comparisons_and_others_are_used(chip_with):
    records = [
        synapse(),
        OpRecord('pool', 'pool', 'max_pool2d', comparisons=5, other=3)
    ]
    chip = chip_with({
        'fp32.compare': 2.0,
        'fp32.other': 30.0,
        'int32.compare': 0.2,
        'int32.other': 5.0
    })
    result = estimate_operations(OpTrace(records, images=1), chip)
    causes = result['spiking_fp32'].causes
    assert causes['comparisons'] == approx_pj(10)
    assert causes['other operations'] == approx_pj(90)
    assert result['spiking_int8'].causes['comparisons'] == approx_pj(1)
    assert 'no figure of their own' not in ' '.join(result.assumptions)


def test_neuron_updates_are_charged_where_the_spec_has_a_figure(
        example, chip_with):
    chip = chip_with({'fp32.neuron_update': 2.0})
    result = estimate_operations(example, chip)
    spiking = result['spiking_fp32']
    assert spiking.causes['neuron updates'] == approx_pj(192 * 2)
    assert spiking.energy_mj == approx_pj(BY_HAND['spiking_fp32'] + 384)
    assert 'neuron updates' not in result['float_twin_fp32'].causes
    assert {x.module for x in result.layers} >= {'neuron1', 'neuron2'}
    assert 'int32.neuron_update' in result.not_charged[-1]
    assert 'fp32.neuron_update' not in result.not_charged[-1]


def test_differences_by_kind_add_up():
    records = [
        OpRecord('stem', 'conv', 'convolution', dense_ops=90, macs=80),
        synapse('conv', kind='conv', sops=8),  # FL * r = 10
        synapse('attn', kind='matmul', sops=4),
        synapse('fc', adds=6),
        OpRecord('add', 'add', 'add', adds=5),
    ]
    result = estimate_operations(OpTrace(records, images=1))
    by_cause = {x.cause: x.energy_mj for x in result.differences}
    assert by_cause == {
        'synapses on real input': approx_pj(10 * 4.6),
        'spiking convolutions': approx_pj(2 * 0.9),
        'attention products': approx_pj(6 * 0.9),
        'operations that the formula leaves out': approx_pj(-11 * 0.9),
    }
    assert math.fsum(by_cause.values()) == pytest.approx(
        result['formula_fp32'].energy_mj - result['spiking_fp32'].energy_mj)


def test_random_traces_are_consistent():
    rng = random.Random(0)
    for _ in range(20):
        records = []
        for i in range(rng.randint(1, 9)):
            kind = rng.choice(('conv', 'linear', 'matmul'))
            elements = rng.randint(1, 50)
            records.append(
                synapse(
                    f'op{i}',
                    kind=kind,
                    dense_ops=rng.randint(1, 10**6),
                    sops=rng.randint(0, 10**6),
                    in_spikes=rng.randint(0, 4 * elements),
                    in_elements=elements,
                    adds=rng.randint(0, 1000)))
        images = rng.randint(1, 7)
        result = estimate_operations(OpTrace(records, images=images))
        oracle = sum(r.dense_ops * r.rate for r in records) * 0.9 / images
        assert result['formula_fp32'].energy_mj == pytest.approx(oracle * 1e-9)
        for key in result.keys:
            layers = math.fsum(x.energy_mj[key] for x in result.layers)
            assert layers == pytest.approx(result[key].energy_mj)
            assert math.fsum(result[key].causes.values()) == pytest.approx(
                result[key].energy_mj)


def test_sums_are_exact_integers():
    # in floats, 2^53 + 1 + 1 is 2^53
    records = [synapse(f'op{i}', sops=n) for i, n in enumerate((2**53, 1, 1))]
    result = estimate_operations(OpTrace(records, images=1))
    assert result['spiking_fp32'].counts['synapse ACs'] == 2**53 + 2


def test_results_carry_source_fidelity_scope(example):
    for result in estimate_operations(example).results:
        assert 'cmos45' in result.source
        assert result.fidelity
        assert 'memory' in result.scope and 'static power' in result.scope


def test_constants_are_those_that_were_used(example):
    constants = {x.name: x for x in estimate_operations(example).constants}
    assert set(constants) == {
        'fp32.ac', 'fp32.mac', 'fp32.add', 'int8.ac', 'int8.mac', 'int32.add'
    }
    assert constants['fp32.mac'].charged_for == ['synapse MACs (FP32 weights)']
    assert all(x.status == 'read' and x.source for x in constants.values())


def test_to_dict_is_plain_json(example):
    raw = estimate_operations(example).to_dict()
    assert json.loads(json.dumps(raw))['images'] == 2
    assert type(raw['results'][0]['energy_mj']) is float
    assert type(raw['layers'][1]['sops']) is float


def test_no_image():
    with pytest.raises(ValueError, match='holds no image'):
        estimate_operations(OpTrace([synapse()], images=0))


def test_no_spiking_synapse():
    records = [
        OpRecord('stem', 'conv', 'convolution', macs=8, dense_ops=8),
        OpRecord('pool', 'pool', 'max_pool2d', spiking=True, comparisons=1)
    ]
    with pytest.raises(ValueError, match='holds no spiking synapse'):
        estimate_operations(OpTrace(records, images=1))


@pytest.mark.parametrize('name', ['dense_ops', 'in_elements', 'max_spikes'])
def test_incomplete_record_is_named(name):
    trace = OpTrace([synapse('head.fc', **{name: 0})], images=1)
    with pytest.raises(ValueError, match=f"'head.fc' .* with {name}=0"):
        estimate_operations(trace)


def test_null_figure_raises_with_figure_and_result(example, chip_with):
    chip = chip_with({'fp32.ac': None})
    with pytest.raises(
            MissingFigureError,
            match='energy of the spiking form, FP32 weights needs the figure '
            'fp32.ac, which is null'):
        estimate_operations(example, chip)


def test_figures_that_are_not_needed_may_be_null(example, chip_with):
    chip = chip_with({'fp32.mul': None, 'int32.mac': None})
    result = estimate_operations(example, chip)
    assert result['spiking_fp32'].energy_mj == approx_pj(
        BY_HAND['spiking_fp32'])


def test_absent_section_is_named_as_missing(example, chip_with):
    result = estimate_operations(example, chip_with({'int8': 'absent'}))
    assert result.keys == ('spiking_fp32', 'formula_fp32',
                             'float_twin_fp32')
    assert len(result.comparisons) == 1
    assert 'has no section int8' in result.missing['quantised_twin_int8']
    with pytest.raises(KeyError, match='has no section int8'):
        result['spiking_int8']


def test_int8_alone_is_enough(example, chip_with):
    result = estimate_operations(example, chip_with({'fp32': 'absent'}))
    assert result.keys == ('spiking_int8', 'quantised_twin_int8')
    assert result.differences == ()


def test_no_section_at_all(example, chip_with):
    chip = chip_with({'int8': 'absent', 'fp32': 'absent'})
    with pytest.raises(MissingFigureError, match='no section fp32'):
        estimate_operations(example, chip)


def test_wide_activations_have_no_int8_twin():
    record = synapse(max_spikes=256)  # 9 bits
    result = estimate_operations(OpTrace([record], images=1))
    assert 'spiking_int8' in result
    assert 'quantised_twin_int8' not in result
    assert '9-bit' in result.missing['quantised_twin_int8']
    assert [x.precision for x in result.comparisons] == ['fp32']


def test_unknown_result_names_the_valid_ones(example):
    with pytest.raises(KeyError, match='have spiking_fp32'):
        estimate_operations(example)['spiking']


def test_documented_example_is_what_comes_out(example):
    page = Path(__file__).parents[3] / 'docs' / 'energy.md'
    rows = re.findall(r'^\| `(\w+)` \| ([\d.]+) \|$', page.read_text(),
                      re.MULTILINE)
    documented = {key: float(value) for key, value in rows}
    result = estimate_operations(example)
    assert set(documented) == set(result.keys)
    for key, value in documented.items():
        assert result[key].energy_mj == approx_pj(value), key
