"""Upstream code runs in float64."""

import pytest
import torch

from mmsnn.conversion.upstream.double import DoublePrecision
from mmsnn.conversion.upstream.mmcv_dispatch import expose_mmcv_ops

ops = pytest.importorskip('mmcv.ops')
# The last two overlap, the first stands apart.
BOXES = torch.tensor([[20., 20, 30, 30], [0, 0, 10, 10], [0, 0, 10, 9]])
SCORES = torch.tensor([0.7, 0.9, 0.8])


def test_float64_reaches_ops_that_refuse_it_as_float32():
    boxes, scores = BOXES.double(), SCORES.double()
    expose_mmcv_ops()
    with pytest.raises(RuntimeError, match='expected scalar type Float'):
        ops.nms(boxes, scores, 0.5)
    with DoublePrecision():
        dets, kept = ops.nms(boxes, scores, 0.5)
        soft, order = ops.soft_nms(boxes, scores, 0.5)
        # Others get what they are given.
        rois = torch.tensor([[0., 0, 0, 4, 4]], dtype=torch.float64)
        pooled = ops.RoIAlign(2)(torch.rand(1, 1, 4, 4).double(), rois)
    assert kept.tolist() == [1, 0] and dets.dtype == torch.float64
    assert pooled.dtype == torch.float64
    expected, indices = ops.soft_nms(BOXES, SCORES, 0.5)
    assert torch.equal(order, indices) and soft.dtype == torch.float64
    torch.testing.assert_close(soft.float(), expected)
