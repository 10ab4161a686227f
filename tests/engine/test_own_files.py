"""Metrics of the training form write no file of the spike-train form's."""

import importlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from mmengine.evaluator import BaseMetric, DumpResults, Evaluator

from mmsnn.engine.own_files import evaluator_with_own_files


class Metric(BaseMetric):
    default_prefix = 'metric'

    def __init__(self, **attributes):
        super().__init__()
        vars(self).update(attributes)

    def process(self, data_batch, data_samples):
        pass

    def compute_metrics(self, results):
        return {}


def moved(**attributes):
    """Attributes of the copy of a metric, and what it is said to move."""
    evaluator = Evaluator([Metric(**attributes)])
    copied, paths = evaluator_with_own_files(evaluator, '_b')
    for name, value in attributes.items():  # the original stays
        assert getattr(evaluator.metrics[0], name) is value
    metric, = copied.metrics
    return {name: getattr(metric, name) for name in attributes}, paths


@pytest.mark.parametrize('name, value, expected', [
    ('out_file_path', 'a/preds.pkl', 'a/preds_b.pkl'),
    ('outfile_path', 'preds.jsonl', 'preds_b.jsonl'),
    ('outfile_prefix', 'a/v1.2', 'a/v1.2_b'),
    ('output_dir', 'a/masks/', 'a/masks_b'),
    ('save_dir', './', './b'),
    ('csv_dir', 'a.b', 'a.b_b'),
    ('dump_path', Path('a/x.json'), Path('a/x_b.json')),
    ('submission_file', 'x.zip', 'x_b.zip'),
    ('_savedir', 's3://bucket/x', 's3://bucket/x_b'),
])
def test_outputs_move(name, value, expected):
    found, paths = moved(**{name: value})
    assert found == {name: expected} and type(found[name]) is type(value)
    assert paths == {str(value): str(expected)}


@pytest.mark.parametrize('name', [
    'ann_file', 'img_prefix', 'seg_prefix', 'gt_dir', 'prefix', 'collect_dir',
    'data_root', 'collect_device', 'log_prefix', 'outline'])
def test_inputs_and_names_stay(name):
    found, paths = moved(**{name: 'a/b'})
    assert found == {name: 'a/b'} and not paths


def test_what_lies_below_an_output_moves_with_it(tmp_path):
    annotations = tmp_path / 'out' / 'annotations.json'
    annotations.parent.mkdir()
    annotations.touch()
    out = str(annotations.parent)
    found, paths = moved(
        proposals_file=f'{out}/proposals.pkl', output_dir=out,
        seg_out_dir=f'{out}.panoptic', ann_file=str(annotations),
        other=f'{out}side')
    assert found == dict(
        proposals_file=f'{out}_b/proposals.pkl', output_dir=f'{out}_b',
        seg_out_dir=f'{out}_b.panoptic', ann_file=str(annotations),
        other=f'{out}side')
    assert paths == {out: f'{out}_b'}
    assert os.path.isdir(f'{out}_b')  # as the metric made the other


def test_temporary_folders_are_the_copys_own():
    folder = TemporaryDirectory()
    evaluator = Evaluator([
        Metric(tmp_dir=folder, outfile_prefix=f'{folder.name}/results')])
    copied, paths = evaluator_with_own_files(evaluator, '_b')
    metric, = copied.metrics
    assert metric.tmp_dir.name != folder.name
    assert metric.outfile_prefix == f'{metric.tmp_dir.name}/results'
    assert not paths
    metric.tmp_dir.cleanup()  # as mmdet's Cityscapes metric does at its end
    assert os.path.isdir(folder.name)


def test_metrics_that_others_hold():
    inner = Metric(save_path='a.txt')
    evaluator = Evaluator([Metric(parts=[Evaluator([inner])])])
    copied, paths = evaluator_with_own_files(evaluator, '_b')
    assert copied.metrics[0].parts[0].metrics[0].save_path == 'a_b.txt'
    assert paths == {'a.txt': 'a_b.txt'} and inner.save_path == 'a.txt'


def test_upstreams_metrics(tmp_path, monkeypatch):
    metrics = pytest.importorskip('mmdet.evaluation.metrics')
    segmentation = pytest.importorskip('mmseg.evaluation.metrics')
    panoptic = importlib.import_module(
        metrics.CocoPanopticMetric.__module__)
    monkeypatch.setattr(panoptic, 'panopticapi', True)
    place = str(tmp_path / 'x')
    evaluator = Evaluator([
        DumpResults(out_file_path=f'{place}.pkl'),
        metrics.CocoMetric(outfile_prefix=place, format_only=True),
        metrics.SemSegMetric(output_dir=place),
        metrics.DumpProposals(output_dir=place),
        metrics.CocoPanopticMetric(outfile_prefix=place),
        metrics.CocoPanopticMetric(),
        segmentation.IoUMetric(output_dir=place),
        segmentation.DepthMetric(output_dir=place),
    ])
    copied, _ = evaluator_with_own_files(evaluator, '_b')
    for one, other in zip(evaluator.metrics, copied.metrics):
        for name, value in vars(one).items():
            if isinstance(value, str) and place in value:
                assert getattr(other, name) == value.replace(
                    place, f'{place}_b'), name
    one, other = evaluator.metrics[5], copied.metrics[5]
    assert one.seg_out_dir != other.seg_out_dir
    assert os.path.isdir(f'{place}_b')
