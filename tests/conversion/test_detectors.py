"""Whole detectors in spike-train form."""

import copy

import pytest
import torch

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.neurons import is_spiking

KINDS = ['mask_rcnn', 'cascade', 'retinanet', 'fcos']
SIZES = [(64, 90), (50, 70)]


def compare(model, data, change=None):
    """Float64 comparison; ``change`` breaks the conversion."""
    training = copy.deepcopy(model).double()
    converted = to_spike_train(training)
    if change:
        change(converted.module)
    check = EqualityCheck(training, converted)
    outs = check.compare_calls(
        lambda: training.test_step(copy.deepcopy(data)),
        lambda: converted.test_step(copy.deepcopy(data)))
    return check.report, outs


@pytest.mark.parametrize('kind', KINDS)
def test_zero_differences(detectors, make_detection_data, kind):
    model = detectors(kind)
    report, (expected, actual) = compare(model, make_detection_data(*SIZES))
    assert report.equal and report.images == 2, report
    assert {row.module for row in report.rows} == {
        k for k, m in model.named_modules() if is_spiking(m)}
    assert all(row.training_spikes for row in report.rows)
    for a, b in zip(expected, actual):
        a, b = a.pred_instances, b.pred_instances
        assert len(a) and a.bboxes.dtype == torch.float64
        torch.testing.assert_close(b.bboxes, a.bboxes, rtol=0, atol=1e-9)
        torch.testing.assert_close(b.scores, a.scores, rtol=0, atol=1e-9)
        assert torch.equal(a.labels, b.labels)
        if 'masks' in a:
            assert a.masks.any() and torch.equal(a.masks, b.masks)
