"""Energy of memory accesses, by hand, for the example of docs/energy.md."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch

from mmsnn.conversion import to_spike_train
from mmsnn.hardware import MissingFigureError, load_chip
from mmsnn.hardware.amounts import as_range, plain
from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.hardware.operations.memory import charged_memory
from mmsnn.hardware.operations.spread import energy_spreads
from mmsnn.hardware.tables import format_operations, write_operations_csv
from mmsnn.layers import SpikeLinear
from mmsnn.trace import OpRecord, OpTrace

# pJ per byte of the smallest SRAM.
LOW, HIGH = 1.25, 2.5
# Per image: 288 MACs of the stem and 50 additions fetch a weight; the MACs
# read an activation; 50 additions and 48 neurons in 4 sub-steps read and
# write a state. A twin does 736 MACs and writes 48 activations.
SPIKING = {'weights fetched': 338, 'states read': 242, 'states written': 242,
           'activations read': 288}
TWIN = {'weights fetched': 736, 'activations read': 736,
        'activations written': 48}
BYTES = {
    'spiking_fp32': 4 * (338 + 242 + 242 + 288),
    'float_twin_fp32': 4 * (736 + 736 + 48),
    'spiking_int8': 338 + 288 + 4 * (242 + 242),
    'quantised_twin_int8': 736 + 736 + 48,
    'formula_fp32': 0,
}


def approx_pj(low, high=None):
    ends = (low, low if high is None else high)
    return pytest.approx([e * 1e-9 for e in ends], rel=1e-12)


@pytest.fixture
def charged(example):
    return estimate_operations(example, 'cmos45_memory')


def test_accesses_are_causes_beside_arithmetic(example, charged):
    arithmetic = estimate_operations(example)
    for key, size in BYTES.items():
        alone = arithmetic[key].energy_mj * 1e9
        assert as_range(charged[key].energy_mj).ends == approx_pj(
            alone + size * LOW, alone + size * HIGH), key
        before = arithmetic[key].causes
        assert {k: charged[key].causes[k] for k in before} == before
    for key, expected in (('spiking_fp32', SPIKING), ('spiking_int8', SPIKING),
                          ('float_twin_fp32', TWIN)):
        counts = charged[key].counts
        assert {k: v for k, v in counts.items() if k in expected} == expected
        assert set(charged[key].causes) - set(arithmetic[key].causes) == set(
            expected)
    assert charged['spiking_int8'].causes['states read'].ends == approx_pj(
        242 * 4 * LOW, 242 * 4 * HIGH)


def test_arithmetic_alone_is_as_before(example):
    result = estimate_operations(example)
    assert type(result['spiking_fp32'].energy_mj) is float and result.exact
    assert 'weights fetched' not in result['spiking_fp32'].counts
    assert not any(t.startswith('Memory') for t in result.assumptions)
    assert type(result.comparisons[0].ratio) is float


def test_ops_add_up(charged):
    for key in charged.keys:
        for end in ('low', 'high'):
            assert sum(
                getattr(as_range(x.energy_mj[key]), end)
                for x in charged.layers) == pytest.approx(
                    getattr(as_range(charged[key].energy_mj), end))
    # Neurons cost what their membranes do.
    neuron = next(x for x in charged.layers if x.module == 'neuron1')
    assert neuron.energy_mj['spiking_fp32'].ends == approx_pj(
        2 * 128 * 4 * LOW, 2 * 128 * 4 * HIGH)
    assert neuron.energy_mj['float_twin_fp32'].ends == approx_pj(
        32 * 4 * LOW, 32 * 4 * HIGH)


def test_ratios_take_both_forms_at_the_same_end(charged):
    fp32, int8 = charged.comparisons
    assert fp32.ratio.ends == pytest.approx(
        [(1393.2 + 4440 * LOW) / (3409 + 6080 * LOW),
         (1393.2 + 4440 * HIGH) / (3409 + 6080 * HIGH)])
    assert (fp32.verdict, int8.verdict) == ('wins', 'loses')
    # A MAC and two accesses, against an addition and three.
    assert fp32.break_even_rate.ends == pytest.approx(
        [(4.6 + 8 * HIGH) / (.9 + 12 * HIGH),
         (4.6 + 8 * LOW) / (.9 + 12 * LOW)])
    assert int8.break_even_rate.ends == pytest.approx(
        [(.23 + 2 * HIGH) / (.03 + 9 * HIGH), (.23 + 2 * LOW) /
         (.03 + 9 * LOW)])
    assert fp32.caveat == int8.caveat == ''
    assert '0.631 to 0.671 x the float twin' in fp32.sentence


def test_a_verdict_may_depend_on_the_end():
    fc = OpRecord('fc', 'linear', 'linear', spiking=True, dense_ops=100,
                  sops=85, in_spikes=85, in_elements=100, max_spikes=4)
    result = estimate_operations(OpTrace([fc], 1), 'cmos45_memory')
    assert result.comparisons[0].verdict == 'open'
    assert 'wins at one end of the range and loses' in result.verdicts[0]


def test_the_formula_has_no_term_for_memory(charged):
    found = {d.cause: d.energy_mj for d in charged.differences}
    assert found['accesses to memory'].ends == approx_pj(
        -4440 * HIGH, -4440 * LOW)


def test_products_of_activations_fetch_no_weight():
    product = OpRecord('a', 'matmul', 'bmm', spiking=True, static=False,
                       dense_ops=100, sops=10, in_spikes=5, in_elements=10,
                       max_spikes=4)
    result = estimate_operations(OpTrace([product], 1), 'cmos45_memory')
    counts = result['spiking_fp32'].counts
    assert counts == {'synapse ACs': 10, 'activations read': 10,
                      'states read': 10, 'states written': 10}
    assert result['float_twin_fp32'].counts == {
        'synapse MACs': 100, 'activations read': 200}


def test_a_twin_sees_a_repeated_image_once():
    records = [
        OpRecord('n', 'neuron', 'neuron', neurons=20, max_spikes=1,
                 timesteps=2, spikes=[3, 3]),
        OpRecord('fc', 'linear', 'linear', spiking=True, dense_ops=200,
                 sops=12, in_spikes=6, in_elements=20, max_spikes=1,
                 timesteps=2, repeats=2)
    ]
    result = estimate_operations(OpTrace(records, 1), 'cmos45_memory')
    assert result['float_twin_fp32'].counts['activations written'] == 10
    assert result['spiking_fp32'].counts['states written'] == 20 + 12


@pytest.mark.parametrize('weights, figure', [
    (1000, 'sram_8kb'), (3000, 'sram_32kb'), (9000, 'sram_1mb'),
    (10**6, 'sram_1mb')])
def test_the_smallest_memory_that_holds_all(weights, figure):
    # 4 bytes a weight, once for all calls of a module, and 192 of membranes.
    records = [
        OpRecord('n', 'neuron', 'neuron', state_bytes=192),
        *[OpRecord('fc', 'linear', 'mm', weights=weights, call=i)
          for i in (1, 2)]
    ]
    found = charged_memory(load_chip('cmos45_memory'), records, 'fp32')
    assert found.figure == f'memory.{figure}'
    assert found.held == 4 * weights + 192
    assert ('more than one bank' in str(found)) == (weights == 10**6)


def test_a_memory_by_name(example):
    flat = estimate_operations(example, 'cmos45', memory='flat')
    assert flat['spiking_fp32'].energy_mj == pytest.approx(
        (1393.2 + 4440 * 24.96) * 1e-9)
    assert 'memory.flat' in {c.name for c in flat.constants}
    with pytest.raises(ValueError, match='memory must be one of sram_8kb, .*'
                       "flat, or None, got 'dram'"):
        estimate_operations(example, 'cmos45', memory='dram')
    with pytest.raises(MissingFigureError, match='memory.sram_1mb, which is'):
        estimate_operations(example, 'cmos45', memory='sram_1mb')


def test_spread_at_an_end():
    # 1 and 3 spikes reach 2 outputs; the neuron has 4 sub-steps.
    fc = SpikeLinear(1, 2, bias=False,
                     neuron=dict(type='mmsnn.SFANeuron', max_spikes=4)).eval()
    with to_spike_train(fc, 'counts') as spiking:
        for x in (1., 3.):
            spiking(torch.tensor([[x]]))
    trace = spiking.trace
    assert 'spiking_fp32' not in energy_spreads(
        trace, estimate_operations(trace, 'cmos45_memory'))
    low = estimate_operations(trace, load_chip('cmos45_memory').at('low'))
    found = energy_spreads(trace, low)['spiking_fp32']
    per_sop = .9 + 12 * LOW
    assert found.mean == pytest.approx((4 * per_sop + 8 * 4 * LOW) * 1e-9)
    assert found.std == pytest.approx(8**.5 * per_sop * 1e-9)


def test_ranges_in_table_json_and_csv(charged, tmp_path):
    table = format_operations(charged)
    assert '6.94e-06 to 1.25e-05' in table
    said = ' '.join(table.split())
    for text in charged.assumptions:
        if text.startswith('Memory'):
            assert text in said
    assert 'nothing is reused or cached' in said
    raw = json.loads(json.dumps(charged.to_dict()))
    energy = raw['results'][0]['energy_mj']
    assert energy == plain(charged['spiking_fp32'].energy_mj)
    assert {c['name']: c['value'] for c in raw['constants']}[
        'memory.sram_8kb'] == dict(low=LOW, high=HIGH)
    write_operations_csv(tmp_path / 'energy.csv', charged)
    with open(tmp_path / 'energy.csv') as file:
        rows = list(csv.DictReader(file))
    assert sum(float(r['spiking_fp32_low_mj']) for r in rows) == \
        pytest.approx(energy['low'])
    assert sum(float(r['spiking_fp32_high_mj']) for r in rows) == \
        pytest.approx(energy['high'])


def test_documented_example_is_what_comes_out(charged):
    page = Path(__file__).parents[3] / 'docs' / 'energy.md'
    rows = re.findall(r'^\| `(\w+)` \| [\d.]+ \| ([\d.]+) to ([\d.]+) \|$',
                      page.read_text(), re.MULTILINE)
    assert {key for key, *_ in rows} == set(BYTES) - {'formula_fp32'}
    for key, low, high in rows:
        assert charged[key].energy_mj.ends == approx_pj(
            float(low), float(high)), key
