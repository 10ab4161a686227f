import csv
import json

import pytest

from mmsnn.hardware import estimate, format_table, write_csv, write_json


def test_table_shows_layers_totals_and_verdicts(example):
    lines = format_table(estimate(example)).splitlines()
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


def test_table_says_how_many_ops_it_leaves_out(example):
    table = format_table(estimate(example), top=1)
    assert '... and 2 more ops' in table
    assert 'fc' not in table


def test_table_names_missing_results(example, chip_with):
    table = format_table(estimate(example, chip_with({'int8': 'absent'})))
    assert 'spiking_int8: not measured:' in table


def test_json_holds_everything(example, tmp_path):
    result = estimate(example)
    path = tmp_path / 'new' / 'energy.json'
    write_json(path, result)
    raw = json.loads(path.read_text())
    assert raw == json.loads(json.dumps(result.to_dict()))
    assert [p.name for p in path.parent.iterdir()] == ['energy.json']


def test_csv_has_a_line_per_op(example, tmp_path):
    result = estimate(example)
    path = tmp_path / 'energy.csv'
    write_csv(path, result)
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['module'] for row in rows] == ['stem', 'conv', 'fc']
    assert [row['spiking'] for row in rows] == ['0', '1', '1']
    assert float(rows[1]['rate']) == 7 / 64
    for key in result.keys:
        total = sum(float(row[f'{key}_mj']) for row in rows)
        assert total == pytest.approx(result[key].energy_mj)
    assert rows[0]['note'] == 'the input is the image'
