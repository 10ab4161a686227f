"""Whole detectors in spike-train form."""

import copy
import gc

import pytest
import torch
from torch import nn

from mmsnn.conversion import EqualityCheck, SpikeTensor, to_spike_train
from mmsnn.conversion.spikes.spike_tensor import SYNAPSES, aten, decode
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


def bias_every_substep(func, bias, x, weight, *, beta=1, alpha=1):
    return sum(
        func(bias, part * x.unit, weight, beta=beta, alpha=alpha)
        for part in x.parts)


def test_a_bias_in_every_substep_is_reported(
        detectors, make_detection_data, monkeypatch):
    # Only linear layers have it wrong: those of the box head.
    monkeypatch.setitem(SYNAPSES, aten.addmm, bias_every_substep)
    report, _ = compare(
        detectors('mask_rcnn'), make_detection_data(*SIZES))
    wrong = [row.module for row in report.rows if row.differences]
    assert not report.equal
    assert wrong[0] == 'roi_head.bbox_head.shared_fcs.1.neuron'


class LeftOut(nn.Module):
    """A neuron that lets its membrane pass."""

    def forward(self, membrane):
        return decode(membrane)


@pytest.mark.parametrize('kind, path', [
    ('mask_rcnn', 'roi_head.bbox_head.fc_cls'),
    ('cascade', 'rpn_head.rpn_reg'),
    ('retinanet', 'bbox_head.retina_cls'),
    ('fcos', 'neck.fpn_convs.0.conv')])
def test_a_neuron_left_out_is_reported(detectors, make_detection_data, kind,
                                       path):

    def leave_out(module):
        module.get_submodule(path).neuron = LeftOut()

    report, _ = compare(
        detectors(kind), make_detection_data(*SIZES), leave_out)
    row, = [r for r in report.rows if r.module == f'{path}.neuron']
    assert not report.equal
    assert row.differences == row.neurons > 0
    assert row.spike_train_spikes == 0 < row.training_spikes


@pytest.mark.parametrize('kind, path', [
    ('mask_rcnn', 'rpn_head.rpn_conv.neuron'),
    ('retinanet', 'bbox_head.cls_convs.0.conv.neuron')])
def test_a_shifted_threshold_is_reported(detectors, make_detection_data, kind,
                                         path):

    def shift(module):
        module.get_submodule(path).neuron.threshold *= 1.1

    report, _ = compare(detectors(kind), make_detection_data(*SIZES), shift)
    wrong = [r.module for r in report.rows if r.differences]
    assert path in wrong and not any('neck' in module for module in wrong)


@pytest.mark.parametrize('kind', ['mask_rcnn', 'fcos'])
def test_images_of_one_pixel_and_extreme_aspect(detectors,
                                                make_detection_data, kind):
    report, outs = compare(
        detectors(kind), make_detection_data((1, 1), (3, 120), (40, 2)))
    assert report.equal and report.images == 3, report
    assert [len(out) for out in outs] == [3, 3]


def no_detection(model):
    for part in model.modules():
        config = getattr(part, 'test_cfg', None)
        if config and 'score_thr' in config:
            config.score_thr = 1.1


def no_proposal(model):
    model.rpn_head.test_cfg.min_bbox_size = 10**6


@pytest.mark.parametrize('kind, change, form', [
    ('mask_rcnn', no_proposal, 'spikes'), ('cascade', no_proposal, 'counts'),
    ('mask_rcnn', no_detection, 'counts'), ('fcos', no_detection, 'spikes')])
def test_nothing_is_detected(detectors, make_detection_data, kind, change,
                             form):
    model = copy.deepcopy(detectors(kind)).double()
    change(model)
    converted = to_spike_train(model, form)
    check = EqualityCheck(model, converted)
    data = make_detection_data((50, 70))
    with converted:
        expected, actual = check.compare_calls(
            lambda: model.test_step(copy.deepcopy(data)),
            lambda: converted.test_step(copy.deepcopy(data)))
    assert check.report.equal
    assert len(actual[0].pred_instances) == 0
    assert converted.trace.images == 1 and converted.trace.total('sops') > 0
    if change is no_proposal:
        head = [r for r in converted.trace
                if r.module.startswith('roi_head.bbox_head.')]
        assert not sum(r.sops + r.neurons for r in head)


@pytest.mark.parametrize('kind', ['mask_rcnn', 'retinanet'])
def test_both_forms_count_the_same(detectors, make_detection_data, kind):
    traces = []
    for form in ('spikes', 'counts'):
        converted = to_spike_train(copy.deepcopy(detectors(kind)).double(),
                                   form)
        with converted:
            for seed in range(2):
                converted.test_step(make_detection_data((40, 60), seed=seed))
        traces.append(converted.trace)
    assert list(traces[0]) == list(traces[1])
    assert traces[0].images == 2


def test_heads_are_charged_for_what_they_do_with_their_results(
        detectors, make_detection_data):
    with to_spike_train(detectors('mask_rcnn'), 'counts') as converted:
        converted.test_step(make_detection_data(*SIZES))
    audit = {(r.module, r.op): r for r in converted.trace.audit()}
    first = audit['rpn_head', 'nms']
    assert first.calls == 2  # one per image
    assert audit['roi_head.bbox_head', 'nms'].calls == 2
    assert audit['roi_head.bbox_roi_extractor.roi_layers.0',
                 'roi_align_forward'].macs > 0
    assert audit['roi_head.mask_head', 'grid_sampler_2d'].calls == 20
    assert not any(module == '(model)' for module, _ in audit)
    # Other images with other boxes on the same levels add no record. (Where a
    # level has no box, the RoI extractor does something else.)
    number = len(converted.trace)
    with converted:
        for seed in (2, 3):
            converted.test_step(make_detection_data(*SIZES, seed=seed))
    assert len(converted.trace) == number


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_no_spikes_are_kept_between_batches(detectors, make_detection_data,
                                            form):
    model = detectors('mask_rcnn')
    converted = to_spike_train(model, form)
    check = EqualityCheck(model, converted)
    with converted:
        check.compare_calls(
            lambda: model.test_step(make_detection_data((40, 60))),
            lambda: converted.test_step(make_detection_data((40, 60))))
        gc.collect()
        assert not [x for x in gc.get_objects() if type(x) is SpikeTensor]
        kept = sum(
            x.numel() for x in gc.get_objects() if type(x) is torch.Tensor)
        converted.test_step(make_detection_data((40, 60), seed=1))
        gc.collect()
        assert kept == sum(
            x.numel() for x in gc.get_objects() if type(x) is torch.Tensor)
