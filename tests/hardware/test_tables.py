import csv

import pytest

from mmsnn.hardware import Network, Population, Projection, estimate
from mmsnn.hardware.operations.estimate import estimate_operations
from mmsnn.hardware.tables import (
    format_layers,
    format_operations,
    write_operations_csv,
)
from mmsnn.trace import OpRecord, OpTrace


def test_table_shows_layers_totals_and_verdicts(example):
    lines = format_operations(estimate_operations(example)).splitlines()
    assert lines[0] == ('Energy on 45 nm CMOS arithmetic (cmos45), mJ per '
                        'image, mean of 2 images')
    rows = {line.split()[0]: line.split() for line in lines if line}
    # costliest first: 1324.8, 36.9 and 31.5 pJ
    order = [line.split()[0] for line in lines if line][3:6]
    assert order == ['stem', 'conv', 'fc']
    assert rows['stem'][2] == 'real'
    assert rows['conv'][2:4] == ['0.109', '25']
    assert rows['total'][1:4] == ['50', '288', '1.39e-06']
    text = ' '.join(lines)
    assert text.count('wins') == 2
    assert 'Not charged: memory' in text


def test_table_prints_where_each_figure_comes_from(example):
    result = estimate_operations(example)
    table = ' '.join(format_operations(result).split())
    assert 'fp32.mac = 4.6 pJ (' in table
    for constant in result.constants:
        assert constant.source and constant.status
        assert f'({constant.status}: {constant.source})' in table


def test_layers_on_a_chip_by_cause():
    network = Network(
        (Population('image', (64, ), kind='input'),
         Population('a', (8, ), max_spikes=2, spikes=(3., 1.)),
         Population('b', (8, ), max_spikes=2, spikes=(1., 0.))),
        (Projection('stem', 'image', 'a', 'linear', macs=512.),
         Projection('fc', 'a', 'b', 'linear', weights=64, synapses=64,
                    sops=(24., 8.))))
    result = estimate(network, 'loihi').on_chip[0]
    header, _, *rows, _, total = format_layers(result)
    assert 'synapses, uJ' in header
    cells = [line.split() for line in rows]
    assert {c[0] for c in cells} == {r.name for r in result.rows}
    # The sum of the rows is the total, but for static power.
    for cause in ('synapses', 'neuron access', 'neuron update'):
        whole = f'{result.energy_mj[cause].high * 1000:.3g}'
        assert whole in total.split()
        assert result.energy_mj[cause].high == pytest.approx(sum(
            r.energy_mj[cause].high for r in result.rows
            if cause in r.energy_mj))
    more = f'... and {len(result.rows) - 1} more rows'
    assert more in format_layers(result, top=1)


def test_no_verdict_without_spikes():
    fc = OpRecord('fc', 'linear', 'linear', spiking=True, dense_ops=100,
                  in_elements=10, max_spikes=4)
    result = estimate_operations(OpTrace([fc], images=1))
    assert {c.verdict for c in result.comparisons} == {'open'}
    assert all('no spike reached a synapse' in c.sentence and not c.caveat
               for c in result.comparisons)


def test_a_cost_that_is_a_range_gives_a_range(example, chip_with):
    exact = estimate_operations(example)
    chip = chip_with({'fp32.ac': dict(low=0.9, high=1.8)})
    energy = estimate_operations(example, chip)['spiking_fp32'].energy_mj
    assert energy.low == pytest.approx(exact['spiking_fp32'].energy_mj)
    assert energy.high - energy.low == pytest.approx(
        .9e-9 * sum(x.sops for x in exact.layers))


def test_table_says_how_many_ops_it_leaves_out(example):
    table = format_operations(estimate_operations(example), top=1)
    assert '... and 2 more ops' in table
    assert 'fc' not in table


def test_table_names_missing_results(example, chip_with):
    table = format_operations(
        estimate_operations(example, chip_with({'int8': 'absent'})))
    assert 'spiking_int8: not measured:' in table


def test_csv_has_a_line_per_op(example, tmp_path):
    result = estimate_operations(example)
    path = tmp_path / 'energy.csv'
    write_operations_csv(path, result)
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['module'] for row in rows] == ['stem', 'conv', 'fc']
    assert [row['spiking'] for row in rows] == ['0', '1', '1']
    assert float(rows[1]['rate']) == 7 / 64
    for key in result.keys:
        total = sum(float(row[f'{key}_mj']) for row in rows)
        assert total == pytest.approx(result[key].energy_mj)
    assert rows[0]['note'] == 'the input is the image'
