"""Metrics of any kind, in both forms."""

import json

import numpy as np
import pytest
import torch

from mmsnn.visualization.metrics import (
    compare_metrics,
    json_metrics,
    numbers_of,
)


class Strange:
    pass


NAN, INF = float('nan'), float('inf')


@pytest.mark.parametrize('training, spike_train, difference, words', [
    (1.5, 1., -0.5, '-0.5'),
    (np.float32(1), torch.tensor([2]), 1., '+1'),
    (True, np.int64(1), 0., '0'),
    (NAN, NAN, 0., '0'),
    (INF, INF, 0., '0'),
    (NAN, 1., INF, '+inf'),
    (torch.tensor([.5, .25]), torch.tensor([.5, .75]), .5,
     'largest 0.5, at [1]'),
    (np.eye(2), [[1, 0], [3, 1]], 3., 'largest 3, at [1, 0]'),
    ([1, 2.], (1, 2), 0., '0'),
    ([NAN, 1.], [NAN, 1.], 0., '0'),
    ([NAN, 1.], [1., 1.], INF, 'largest inf, at [0]'),
    (torch.tensor([.5], dtype=torch.bfloat16), .5, 0., '0'),
    ([1, 2], [1, 2, 3], None, 'of another shape'),
    ([1, 2], 1., None, 'of another kind'),
    ('28.1%', '28.1%', None, 'equal'),
    ('28.1%', '28.2%', None, 'differs'),
    (Strange(), Strange(), None, 'not compared'),
    (3j, 3j, None, 'not compared'),
    ([], [], 0., '0'),
])
def test_one_metric(training, spike_train, difference, words):
    row, = compare_metrics(dict(x=training), dict(x=spike_train))
    assert row.name == 'x' and row.difference == difference
    assert row.difference_in_words == words


def test_parts_of_a_metric_are_metrics():
    nested = dict(
        cls=dict(car=np.float64(.5), bus=dict(ap=1)), rows=[[1, 2], [3]],
        words=['a', 2], nothing=None)
    rows = compare_metrics(nested, {})
    assert [row.name for row in rows] == [
        'cls/car', 'cls/bus/ap', 'rows/0', 'rows/1', 'words/0', 'words/1']
    assert all(row.spike_train is None and row.difference is None
               and row.difference_in_words is None for row in rows)
    assert [row.is_number for row in rows] == [
        True, True, False, False, False, True]


def test_sentences_say_what_is_compared():
    first = dict(iou=np.arange(20.), odd=Strange(), top1=50)
    row, odd, top1 = compare_metrics(first, dict(first, iou=np.zeros(20)))
    assert str(row) == ('iou: 20 values in training form, 20 values in '
                        'spike-train form, difference: largest 19, at [19]')
    assert str(odd).endswith('difference: not compared')
    assert 'Strange: no number, table or text' in str(odd)
    assert str(top1) == ('top1: 50 in training form, 50 in spike-train form, '
                         'difference: 0')
    row, = compare_metrics({}, dict(top1=50))
    assert str(row) == ('top1: not measured in training form, 50 in '
                        'spike-train form')


def test_numbers_and_json():
    metrics = dict(
        a=torch.tensor(2.5), b=np.float32(.5), c=[1, NAN], d='text', e=INF,
        f=dict(g=-INF), h=Strange())
    assert numbers_of(metrics) == dict(a=2.5, b=.5, e=INF, **{'f/g': -INF})
    written = json.dumps(json_metrics(metrics), allow_nan=False)
    found = json.loads(written)
    assert found == dict(
        a=2.5, b=.5, c=[1., 'NaN'], d='text', e='Infinity',
        h='Strange: no number, table or text', **{'f/g': '-Infinity'})
    assert np.isnan(float(found['c'][1])) and float(found['e']) == INF
