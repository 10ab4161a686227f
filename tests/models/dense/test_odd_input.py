"""Images and annotations that hardly are any."""

import copy

import pytest
import torch

from mmsnn.conversion import EqualityCheck, to_spike_train

TWO_STAGE = ['mask_rcnn', 'cascade_mask_rcnn']
DETECTORS = TWO_STAGE + ['retinanet', 'fcos', 'rtmdet', 'detr', 'sparse_rcnn']
SEGMENTORS = ['fpn_head', 'uper_head', 'sep_aspp_head']
PIXEL = dict(sizes=[(1, 1)] * 2, boxes=[(0, 0, 1, 1)])
ROW = dict(sizes=[(1, 150)] * 2, boxes=[(0, 0, 30, 1)])
COLUMN = dict(sizes=[(201, 2)] * 2, boxes=[(0, 0, 2, 100)])
NOTHING = dict(boxes=[])


def train_and_convert(model, data, idle=None):
    """One backward pass, then both forms on the same batch in float64.
    What ``idle`` begins the names of may get no gradient."""
    model.train().zero_grad()
    inputs = model.data_preprocessor(copy.deepcopy(data), True)
    loss, _ = model.parse_losses(model(**inputs, mode='loss'))
    assert loss.isfinite()
    loss.backward()
    for key, parameter in model.named_parameters():
        if parameter.grad is None:
            assert idle and key.startswith(idle), key
        else:
            assert parameter.grad.isfinite().all(), key
    training = copy.deepcopy(model).double().eval()
    check = EqualityCheck(training, to_spike_train(training))
    results, _ = check.compare_calls(
        lambda: training.test_step(copy.deepcopy(data)),
        lambda: check.spiking.test_step(copy.deepcopy(data)))
    assert check.report.equal, check.report
    return results


@pytest.mark.parametrize('name,odd', [
    *((name, PIXEL) for name in DETECTORS + SEGMENTORS),
    *((name, ROW) for name in ('mask_rcnn', 'rtmdet', 'uper_head')),
    *((name, COLUMN) for name in ('fcos', 'deformable_detr', 'fpn_head')),
])
def test_image_of_a_pixel_a_row_a_column(dense_model, batch, name, odd):
    results = train_and_convert(dense_model(name), batch(name, **odd))
    assert len(results) == 2


@pytest.mark.parametrize('name', DETECTORS)
def test_batch_without_objects(dense_model, batch, name):
    data = batch(name, **NOTHING)
    assert not len(data['data_samples'][0].gt_instances)
    assert train_and_convert(dense_model(name), data)


@pytest.mark.parametrize('name', TWO_STAGE)
@pytest.mark.parametrize('objects', [NOTHING, {}])
def test_no_proposals(dense_config, build_dense, batch, name, objects):
    config = dense_config(name)
    for proposals in (config.train_cfg.rpn_proposal, config.test_cfg.rpn):
        proposals.min_bbox_size = 1e6
    model = build_dense(config, name)
    # Without any region upstream leaves heads out of the loss.
    results = train_and_convert(
        model, batch(name, **objects), idle='roi_head.')
    assert not any(len(r.pred_instances) for r in results)


def test_no_region_reaches_the_heads(dense_model):
    """Heads that run on no region at all."""
    heads = dense_model('mask_rcnn').eval().roi_head
    empty = torch.zeros(0, 8, 4, 4)
    for head, shapes in ((heads.bbox_head, [(0, 4), (0, 12)]),
                         (heads.mask_head, [(0, 3, 8, 8)])):
        with to_spike_train(head) as converted:
            outs = converted(empty)
        outs = outs if isinstance(outs, tuple) else (outs, )
        assert [tuple(x.shape) for x in outs] == shapes
        assert converted.trace.total('sops') == 0
