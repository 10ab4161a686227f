"""Compiled ops of torchvision: what each call costs, as mmcv's own forms."""

from .mmcv_ops import _nms, _roi_align, _roi_pool
from .rule import Call, Rule


def _aligned(call: Call) -> dict:
    return _roi_align(
        None, call['input'], call['rois'], call.result, None, None,
        call['pooled_height'], call['pooled_width'], call['spatial_scale'],
        call['sampling_ratio'], 1, call['aligned'])


def _pooled(call: Call) -> dict:
    return _roi_pool(
        None, call['input'], call['rois'], call.result, None,
        call['pooled_height'], call['pooled_width'], call['spatial_scale'])


def _suppressed(call: Call) -> dict:
    return _nms(call.result, call['dets'], call['scores'],
                call['iou_threshold'], 0)


#: Rules by name. All costs depend on boxes.
RULES: dict[str, Rule] = dict(
    roi_align=Rule(cost=_aligned),
    roi_pool=Rule(cost=_pooled),
    nms=Rule(cost=_suppressed))
