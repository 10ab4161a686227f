"""mmcv's compiled ops are charged by hand-computed amounts."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import UnclassifiedOpError, to_spike_train
from mmsnn.conversion.rules.mmcv_ops import mmcv_cost
from mmsnn.neurons import SFANeuron

ops = pytest.importorskip('mmcv.ops')
FORMS = ['spikes', 'counts']
# The last two overlap, the first stands apart.
BOXES = torch.tensor([[20., 20, 30, 30], [0, 0, 10, 10], [0, 0, 10, 9]])
SCORES = torch.tensor([0.7, 0.9, 0.8])


class Then(nn.Module):
    """A neuron, and an op that may use its spikes."""

    def __init__(self, function):
        super().__init__()
        self.neuron = SFANeuron()
        self.function = function

    def forward(self, x):
        return self.function(self.neuron(x))


def record(function, x=torch.rand(1, 2, 8, 8)):
    """The op's record, after its result was compared."""
    net = nn.Sequential(Then(function)).eval()
    results = []
    for form in FORMS:
        with to_spike_train(net, form) as spiking:
            out = spiking(x)
        torch.testing.assert_close(out, net(x))
        results.append([r for r in spiking.trace if r.kind != 'neuron'])
    assert results[0] == results[1]
    record, = results[0]
    assert record.module == '0'
    return record


def amounts(record):
    names = ('macs', 'adds', 'comparisons', 'other')
    return tuple(getattr(record, name) for name in names)


@pytest.mark.parametrize('sampling, mode, expected', [
    # 2 x 3 bins of 2 x 2 points, 2 channels: 48 points; 12 outputs
    (2, 'avg', (192, 0, 0, 12)),
    (2, 'max', (192, 0, 48, 0)),
    # bins of 3 x 4/3 pixels: 3 x 2 points each, 72 in all
    (0, 'avg', (288, 0, 0, 12)),
])
def test_roi_align(sampling, mode, expected):
    align = ops.RoIAlign((2, 3), 0.5, sampling, mode)
    rois = torch.tensor([[0., 0, 0, 8, 12]])
    found = record(lambda spikes: align(spikes, rois))
    assert (found.op, found.kind) == ('roi_align_forward', 'pool')
    assert amounts(found) == expected
    assert found.input_shape == (1, 2, 8, 8)
    assert found.output_shape == (1, 2, 2, 3)


def test_nms():
    found = record(lambda spikes: ops.nms(BOXES, SCORES, 0.5)[1])
    assert (found.op, found.kind, found.spiking) == ('nms', 'real', False)
    # Two are kept. The best is compared with both others, the last with none:
    # 2 pairs of 7 comparisons, 4 additions, 1 product, 1 quotient; 3 areas of
    # 2 additions and 1 product; sorting takes 3 x 2 comparisons.
    assert amounts(found) == (2 + 3, 8 + 6, 14 + 6, 2)
    none = record(lambda spikes: ops.nms(BOXES[:0], SCORES[:0], 0.5)[1])
    assert amounts(none) == (0, 0, 0, 0)


@pytest.mark.parametrize('method, expected', [
    # No score falls below the least: 3 pairs, each with 2 comparisons, 1
    # product and 1 difference more, or 2 products, a quotient and an
    # exponential.
    ('linear', (3 * 2 + 3, 3 * 5 + 6, 3 * 9 + 6, 3)),
    ('gaussian', (3 * 3 + 3, 3 * 4 + 6, 3 * 9 + 6, 9)),
])
def test_soft_nms(method, expected):
    found = record(
        lambda spikes: ops.soft_nms(BOXES, SCORES, 0.5, method=method)[0])
    assert found.op == 'softnms' and amounts(found) == expected


@pytest.mark.parametrize('modulated', [False, True])
def test_deformable_convolution_is_real(modulated):
    torch.manual_seed(0)
    kind = ops.ModulatedDeformConv2d if modulated else ops.DeformConv2d
    conv = kind(2, 4, 3, padding=1, groups=2, bias=modulated)
    more = [torch.rand(1, 18, 8, 8)]
    if modulated:
        more.append(torch.rand(1, 9, 8, 8))
    found = record(lambda spikes: conv(spikes, *more).detach())
    assert found.kind == 'conv' and not found.spiking
    dense, samples = 64 * 4 * 9, 64 * 2 * 9
    assert found.macs == dense + (5 if modulated else 4) * samples
    assert found.adds == (256 if modulated else 0)
    assert found.weight_bytes == 4 * (4 * 9 + (4 if modulated else 0))
    assert 'deformable' in found.note


def test_nms_match_as_nms():
    dets = torch.cat([BOXES, SCORES[:, None]], 1)
    found = record(lambda spikes: ops.nms_match(dets, 0.5)[0])
    assert amounts(found) == (2 + 3, 8 + 6, 14 + 6, 2)


def zeros(*shape):
    return torch.zeros(shape)


@pytest.mark.parametrize('name, args, kwargs, expected', [
    # 2 x 5 queries, 4 heads of 8 channels, 3 levels of 6 points
    ('ms_deform_attn_forward',
     (zeros(2, 7, 4, 8), None, None, None, zeros(2, 5, 4, 3, 6)),
     dict(im2col_step=64), dict(macs=5 * 2 * 5 * 4 * 3 * 6 * 8)),
    ('carafe_forward',
     (zeros(1, 2, 3, 3), None, None, None, None, zeros(1, 2, 6, 6)),
     dict(kernel_size=5, group_size=1, scale_factor=2),
     dict(macs=72 * 25)),
    ('carafe_naive_forward',
     (zeros(1, 2, 3, 3), None, zeros(1, 2, 6, 6)),
     dict(kernel_size=3, group_size=1, scale_factor=2),
     dict(macs=72 * 9)),
    # pixels 1..4 and 1..6: 4 x 6 in 2 x 3 bins of 2 x 2
    ('roi_pool_forward',
     (zeros(1, 2, 8, 8), torch.tensor([[0., 2, 2, 12, 8]]),
      zeros(1, 2, 2, 3), None),
     dict(pooled_height=2, pooled_width=3, spatial_scale=0.5),
     dict(comparisons=2 * 6 * 3)),
    # as RoIAlign: 2 x 2 points in 2 x 3 bins of 2 channels; the 2 shifts of
    # a bin are a product each
    ('deform_roi_pool_forward',
     (zeros(1, 2, 8, 8), zeros(1, 5), zeros(1, 2, 2, 3), zeros(1, 2, 2, 3)),
     dict(pooled_height=2, pooled_width=3, spatial_scale=0.5,
          sampling_ratio=2, gamma=0.1), dict(macs=4 * 48 + 12)),
    # 2 x 3 pairs of boxes
    ('bbox_overlaps', (zeros(2, 4), zeros(3, 4), zeros(2, 3)),
     dict(mode=0, aligned=False, offset=0),
     dict(macs=6 + 5, comparisons=6 * 6)),
    ('psamask_forward', (zeros(1, 9, 2, 2), zeros(1, 4, 2, 2)),
     dict(psa_type=0), {}),
    ('masked_im2col_forward',
     (zeros(1, 2, 4, 4), zeros(3), zeros(3), zeros(18, 3)),
     dict(kernel_h=3, kernel_w=3), {}),
])
def test_rules_of_ops_that_need_an_accelerator(name, args, kwargs, expected):
    cost, _ = mmcv_cost(name, args, kwargs, zeros(2, 5, 32))
    for key in ('macs', 'comparisons'):
        assert cost.get(key, 0) == expected.get(key, 0)


def test_lanes_are_suppressed_pair_by_pair():
    # Of 3 lanes of 4 points the best and the last are kept: 2 pairs and none.
    kept = torch.tensor([1, 0, 9]), torch.tensor(2), None
    cost, _ = mmcv_cost('line_nms_forward', (zeros(3, 9), SCORES, 0.5, 3), {},
                        kept)
    assert (cost['adds'], cost['other']) == (2 * 2 * 4, 2)
    assert cost['comparisons'] == 2 * 5 + 3 * 2


@pytest.mark.parametrize('form', FORMS)
def test_an_op_without_rule_is_named_with_its_module(form):
    boxes = torch.tensor([[5., 5, 4, 2, 0]])
    net = nn.Sequential(
        nn.Identity(), Then(lambda x: ops.box_iou_rotated(boxes, boxes)))
    spiking = to_spike_train(net, form)
    assert spiking(torch.rand(1, 2)).item() == 1  # runs, if nobody counts
    with spiking, pytest.raises(
            UnclassifiedOpError,
            match=r"^1: no rule .*mmcv's compiled op box_iou_rotated costs, "
            r'on purpose: it is for rotated boxes.*mmcv_ops\.py'):
        spiking(torch.rand(1, 2))
    assert not len(spiking.trace)
