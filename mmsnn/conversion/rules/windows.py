"""Ops on windows and between positions: pooling, interpolation, unfolding."""

from functools import lru_cache
from math import ceil, floor, prod

import torch

from .rule import Call, Effect, amounts, numbers, rules


def _axes(call: Call) -> int:
    return next(n for n in (1, 2, 3) if f'{n}d' in call.func._schema.name)


def _window(call: Call) -> int:
    """Elements of a pooling window; one number stands for all axes."""
    kernel = call['kernel_size']
    kernel = kernel if isinstance(kernel, (list, tuple)) else [kernel]
    return prod(kernel) if len(kernel) > 1 else kernel[0]**_axes(call)


def _max_pool(call: Call) -> dict:
    """A comparison for each element of a window but one; padding counts."""
    return amounts('pool', comparisons=call.outputs * (_window(call) - 1))


def _average_pool(call: Call) -> dict:
    """An addition for each element of a window, padding too; a division."""
    return amounts(
        'pool', adds=call.outputs * _window(call), other=call.outputs)


@lru_cache(maxsize=4096)
def adaptive_windows(size: int, outputs: int) -> int:
    """Along one axis: elements of all windows of an adaptive pooling.

    Args:
        size (int): Positions that there are.
        outputs (int): Windows; they overlap where this does not divide.

    Example:
        >>> adaptive_windows(5, 4)  # 0-1, 1-2, 2-3, 3-4
        8
    """
    return sum(-(-(i + 1) * size // outputs) - i * size // outputs
               for i in range(outputs))


def _adaptive_elements(call: Call) -> int:
    """Elements of all windows of all channels and images."""
    before, after = call['self'].shape, call.result.shape
    axes = _axes(call)
    return prod(before[:-axes]) * prod(
        adaptive_windows(*sizes)
        for sizes in zip(before[-axes:], after[-axes:]))


def _adaptive_average_pool(call: Call) -> dict:
    """An addition for each element of each window; a division."""
    return amounts(
        'pool', adds=_adaptive_elements(call), other=call.outputs)


def _adaptive_max_pool(call: Call) -> dict:
    """A comparison for each element of each window but one."""
    return amounts(
        'pool', comparisons=_adaptive_elements(call) - call.outputs)


def _taps(number: int):
    """Multiply-accumulates per output of an interpolation."""
    return lambda call: amounts('interpolate', macs=number * call.outputs)


@lru_cache(maxsize=4096)
def antialiased_support(size: int, outputs: int, radius: int, align: bool,
                        scale: float | None) -> int:
    """Along one axis: inputs of all outputs of an antialiased interpolation.

    The filter reaches as far as the next outputs, and is cut at the border.

    Args:
        size (int): Positions that there are.
        outputs (int): Positions of the result.
        radius (int): Of the filter: 1 if linear, 2 if cubic.
        align (bool): Whether corners are aligned.
        scale (float, optional): Factor that was asked for.

    Example:
        >>> antialiased_support(6, 2, 1, False, None)  # 0-3 and 2-5
        8
    """
    if align:
        step = (size - 1) / (outputs - 1) if outputs > 1 else 0.
    else:
        step = 1 / scale if scale else size / outputs
    reach = radius * max(step, 1.)
    total = 0
    for i in range(outputs):
        centre = step * (i + 0.5) - 0.5
        first = max(floor(centre - reach + 1e-9) + 1, 0)
        total += min(ceil(centre + reach - 1e-9), size) - first
    return total


def _antialiased(radius: int):
    """One multiply-accumulate per input that an output really has."""

    def cost(call: Call) -> dict:
        before, after = call['self'].shape, call.result.shape
        scales = call.get('scale_factors') or (call.get('scales_h'),
                                               call.get('scales_w'))
        macs = prod(before[:2]) * prod(
            antialiased_support(*sizes, radius, bool(call['align_corners']),
                                scale)
            for *sizes, scale in zip(before[2:], after[2:], scales))
        return amounts('interpolate', macs=macs)

    return cost


def _sampling(call: Call) -> dict | None:
    """Taps of a grid sample: two, one or four an axis; nearest is free."""
    mode = call['interpolation_mode']
    if mode == 1:
        return None
    axes = call['grid'].shape[-1]
    return amounts(
        'interpolate', macs=(4 if mode == 2 else 2)**axes * call.outputs)


def _nearest(call: Call, largest: float) -> bool:
    return call['interpolation_mode'] == 1


def _grid(call: Call) -> dict:
    """A product of each position with the matrix of its image."""
    coordinates = call.result.shape[-1]
    return amounts('real', macs=(coordinates + 1) * call.outputs)


def _fold(call: Call) -> dict:
    """One addition for each element of each column."""
    return amounts('add', adds=numbers(call['self']))


def _fractional_pool(call: Call) -> dict:
    window = prod(torch.Size(call['kernel_size']))
    return amounts('pool', comparisons=call.outputs * (window - 1))


RULES = {
    **rules('max_pool1d max_pool2d max_pool3d max_pool1d_with_indices '
            'max_pool2d_with_indices max_pool3d_with_indices',
            effect=Effect.EXTREME, cost=_max_pool),
    **rules('adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d',
            effect=Effect.EXTREME, cost=_adaptive_max_pool),
    **rules('fractional_max_pool2d fractional_max_pool3d',
            effect=Effect.EXTREME, cost=_fractional_pool),
    **rules('avg_pool1d avg_pool2d avg_pool3d', cost=_average_pool),
    **rules('_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d '
            'adaptive_avg_pool2d adaptive_avg_pool3d',
            cost=_adaptive_average_pool),
    **rules('upsample_linear1d', cost=_taps(2)),
    **rules('upsample_bilinear2d', cost=_taps(4)),
    **rules('upsample_trilinear3d', cost=_taps(8)),
    **rules('upsample_bicubic2d', cost=_taps(16)),
    **rules('_upsample_bilinear2d_aa', cost=_antialiased(1)),
    **rules('_upsample_bicubic2d_aa', cost=_antialiased(2)),
    **rules('grid_sampler_2d grid_sampler_3d _grid_sampler_2d_cpu_fallback',
            effect=Effect.MOVED, data=('input', ), when=_nearest,
            cost=_sampling),
    **rules('affine_grid_generator', cost=_grid),
    **rules('col2im', cost=_fold),
}
