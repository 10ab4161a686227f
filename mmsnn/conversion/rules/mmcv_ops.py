"""What mmcv's compiled ops cost, and which of them are refused on purpose.

All of them work on real values: spikes are decoded before. The arguments of a
rule are the result of the op, and then the parameters of the function of
``mmcv._ext`` that it is for.
"""

from collections.abc import Callable
from math import prod

import torch

from .reductions import steps
from .refused import MMCV_REFUSED
from .rule import UnclassifiedOpError

#: Per pair of boxes: corners and sides of the intersection (4 + 2), the
#: threshold; width, height, and the area of the union (2 + 2); the area of
#: the intersection; the quotient.
_IOU = dict(comparisons=7, adds=4, macs=1, other=1)

#: Per box: its area.
_AREA = dict(adds=2, macs=1)


def _nms(out, boxes, scores, iou_threshold, offset) -> dict:
    """Boxes are sorted, then each that is kept is compared with all of lower
    score. (Implementations skip some of those, or compare all pairs.)"""
    return _box_cost(_pairs(scores, out), boxes, out)


def _pairs(scores, kept) -> int:
    """How many pairs those that are kept make with those of lower score."""
    rank = scores.argsort(descending=True, stable=True).argsort()
    return int((len(scores) - 1 - rank[kept]).sum())


def _nms_match(out, boxes, iou_threshold) -> dict:
    """As :func:`_nms`; the best of each group is what is kept."""
    kept = torch.tensor([int(group[0]) for group in out], dtype=torch.int64)
    result = boxes.new_zeros(len(kept))
    return _box_cost(_pairs(boxes[:, 4], kept), boxes, result)


def _line_nms(out, lines, scores, overlap, top_k) -> dict:
    """Lanes are sorted, and each that is kept is compared with all of lower
    score: a difference, its size and a sum for each of their points, a
    division, and the threshold."""
    keep, number, _ = out
    kept = keep[:int(number)]
    pairs, points = _pairs(scores, kept), lines.shape[1] - 5
    return dict(
        _real('real', lines, kept, 0),
        adds=2 * pairs * points,
        comparisons=pairs * (points + 1) + len(lines) * steps(len(lines)),
        other=pairs)


def _bbox_overlaps(out, boxes1, boxes2, ious, mode, aligned, offset) -> dict:
    """Per pair what :func:`_nms` takes, bar its threshold; per box its
    area."""
    pairs, boxes = ious.numel(), len(boxes1) + len(boxes2)
    cost = {k: pairs * v for k, v in _IOU.items()}
    cost['comparisons'] -= pairs
    for name, amount in _AREA.items():
        cost[name] += amount * boxes
    return dict(_real('real', boxes1, ious, cost.pop('macs')), **cost)


def _softnms(out, boxes, scores, dets, iou_threshold, sigma, min_score,
             method, offset) -> dict:
    """As :func:`_nms`, and per pair two comparisons (for the next highest
    score and the lowest allowed) and the weight of the score: a difference
    and a product, or for the Gaussian (method 2) two products, a quotient and
    an exponential. A box that is discarded counts as compared with all that
    are kept."""
    kept = len(out)
    pairs = kept * (len(boxes) - 1) - kept * (kept - 1) // 2
    more = dict(comparisons=2, macs=1, adds=1)
    if method == 2:
        more = dict(comparisons=2, macs=2, other=2)
    return _box_cost(pairs, boxes, out, more)


def _box_cost(pairs: int, boxes, out, more: dict = {}) -> dict:
    number = len(boxes)
    cost = {k: pairs * (v + more.get(k, 0)) for k, v in _IOU.items()}
    for name, amount in _AREA.items():
        cost[name] += amount * number
    cost['comparisons'] += number * steps(number)
    return dict(
        _real('real', boxes, out, cost.pop('macs')),
        note='boxes are suppressed pair by pair, on real values',
        **cost)


def _roi_align(out, input, rois, output, argmax_y, argmax_x, aligned_height,
               aligned_width, spatial_scale, sampling_ratio, pool_mode,
               aligned) -> dict:
    """4 multiply-accumulates per sampling point, which add up in their bin;
    a division per output, or a comparison per point if maxima are taken.
    Points outside the map count too."""
    points = _sampling_points(rois, spatial_scale, sampling_ratio, output,
                              0 if aligned else 1)
    average = pool_mode == 1
    return dict(
        _real('pool', input, output, 4 * points),
        other=output.numel() if average else 0,
        comparisons=0 if average else points,
        note='bilinear at each sampling point')


def _sampling_points(rois, spatial_scale, sampling_ratio, output,
                     smallest: float) -> int:
    """Points at which the bins of all regions and channels are sampled."""
    channels, *bins = output.shape[1:]
    grid = sampling_ratio**2 * len(rois)
    if sampling_ratio <= 0:
        sides = (rois[:, 3:] - rois[:, 1:3]) * spatial_scale  # (w, h)
        sides = sides.clamp(min=smallest)
        grid = int((sides / sides.new_tensor(bins[::-1])).ceil().prod(1).sum())
    return grid * prod(bins) * channels


def _deform_roi_pool(out, input, rois, offset, output, pooled_height,
                     pooled_width, spatial_scale, sampling_ratio,
                     gamma) -> dict:
    """As :func:`_roi_align`, and two products a bin where it is shifted."""
    points = _sampling_points(rois, spatial_scale, sampling_ratio, output, 0)
    return dict(
        _real('pool', input, output, 4 * points + offset.numel()),
        other=output.numel(),
        note='bilinear at each sampling point')


def _psa_mask(out, input, output, **geometry) -> dict:
    """Values that are moved about."""
    return _real('real', input, output, 0)


def _masked_columns(out, source, rows, columns, result, **geometry) -> dict:
    """Values that are moved to or from where a mask is set."""
    return _real('real', source, result, 0)


def _roi_pool(out, input, rois, output, argmax, pooled_height, pooled_width,
              spatial_scale) -> dict:
    """A comparison for each element of a bin but one. The bins of a RoI are
    taken to be equal, and those outside the map count too."""
    corners = (rois[:, 1:] * spatial_scale).round()
    sides = (corners[:, 2:] - corners[:, :2] + 1).clamp(min=1)
    bins = sides.new_tensor([pooled_width, pooled_height])
    window = (sides / bins).ceil().prod(1) - 1
    comparisons = int(
        window.sum()) * pooled_height * pooled_width * input.shape[1]
    return dict(_real('pool', input, output, 0), comparisons=comparisons)


def _deform_conv(out, input, weight, offset, output, columns, ones,
                 **geometry) -> dict:
    """The dense convolution, and the samples that it is applied to."""
    return _deformable(input, weight, output)


def _modulated_deform_conv(out, input, weight, bias, ones, offset, mask,
                           output, columns, with_bias, **geometry) -> dict:
    """As :func:`_deform_conv`, and a factor for each sample."""
    cost = _deformable(input, weight, output, 5)
    cost['adds'] = output.numel() if with_bias else 0
    cost['weight_bytes'] += bias.numel() * bias.element_size()
    return cost


def _deformable(input, weight, output, per_sample: int = 4) -> dict:
    positions = prod(output.shape[2:]) * output.shape[0]
    samples = positions * input.shape[1] * prod(weight.shape[2:])
    dense = output.numel() * prod(weight.shape[1:])
    return dict(
        _real('conv', input, output, dense + per_sample * samples),
        weight_bytes=weight.numel() * weight.element_size(),
        note='a deformable convolution samples between positions')


def _ms_deform_attn(out, value, value_spatial_shapes, value_level_start_index,
                    sampling_locations, attention_weights,
                    im2col_step) -> dict:
    """4 multiply-accumulates per sampling point and channel, and one for its
    weight."""
    macs = 5 * attention_weights.numel() * value.shape[-1]
    return _real('interpolate', value, out, macs)


def _carafe(features, output, kernel_size) -> dict:
    """Each output is a weighted sum over a neighbourhood."""
    return _real('interpolate', features, output,
                 output.numel() * kernel_size**2)


def _carafe_forward(out, features, masks, rfeatures, routput, rmasks, output,
                    kernel_size, group_size, scale_factor) -> dict:
    return _carafe(features, output, kernel_size)


def _carafe_naive(out, features, masks, output, kernel_size, group_size,
                  scale_factor) -> dict:
    return _carafe(features, output, kernel_size)


def _real(kind: str, input: torch.Tensor, output: torch.Tensor,
          macs: int) -> dict:
    return dict(
        kind=kind,
        macs=macs,
        dense_ops=macs,
        input_shape=tuple(input.shape),
        output_shape=tuple(output.shape))


#: Rule of each op, and whether its cost depends on values or only on shapes.
MMCV_COSTS: dict[str, tuple[Callable, bool]] = dict(
    nms=(_nms, True),
    softnms=(_softnms, True),
    nms_match=(_nms_match, True),
    line_nms_forward=(_line_nms, True),
    bbox_overlaps=(_bbox_overlaps, False),
    roi_align_forward=(_roi_align, True),
    roi_pool_forward=(_roi_pool, True),
    deform_roi_pool_forward=(_deform_roi_pool, True),
    deform_conv_forward=(_deform_conv, False),
    modulated_deform_conv_forward=(_modulated_deform_conv, False),
    ms_deform_attn_forward=(_ms_deform_attn, False),
    carafe_forward=(_carafe_forward, False),
    carafe_naive_forward=(_carafe_naive, False),
    psamask_forward=(_psa_mask, False),
    masked_im2col_forward=(_masked_columns, True),
    masked_col2im_forward=(_masked_columns, True))


def mmcv_cost(name: str, args: tuple, kwargs: dict,
                   out) -> tuple[dict, bool]:
    """Cost of one call of a compiled op of mmcv.

    Args:
        name (str): Its name in ``mmcv._ext``.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
        out: What it returned.

    Returns:
        tuple[dict, bool]: Fields of an :class:`~mmsnn.trace.OpRecord`, and
        whether they depend on values.

    Raises:
        UnclassifiedOpError: If there is no rule.

    Example:
        >>> features, masks, out = (torch.zeros(1, 2, *s) for s in (
        ...     (3, 3), (6, 6), (6, 6)))  # a kernel of 5 x 5 on 72 outputs
        >>> cost, _ = mmcv_cost('carafe_naive_forward', (features, masks, out),
        ...                     dict(kernel_size=5, group_size=1,
        ...                          scale_factor=2), None)
        >>> cost['macs']
        1800
    """
    if name not in MMCV_COSTS:
        reason = MMCV_REFUSED.get(name)
        if '_backward' in name:
            reason = 'it is a gradient; a converted model only infers'
        if reason:
            raise UnclassifiedOpError(
                f"no rule says what mmcv's compiled op {name} costs, on "
                f'purpose: {reason}; if yours does, write one in '
                'mmsnn/conversion/rules/mmcv_ops.py')
        raise UnclassifiedOpError(
            f"no rule says what mmcv's compiled op {name} costs; write one in "
            'mmsnn/conversion/rules/mmcv_ops.py')
    rule, on_values = MMCV_COSTS[name]
    return rule(out, *args, **kwargs), on_values
