"""Ops that compute each element of the result from one element of each
argument."""

import torch

from .rule import Call, Effect, amounts, numbers, numbers_together, rules


def additions(call: Call) -> dict:
    """One addition per output element.

    Args:
        call (Call): The call.
    """
    return amounts('add', adds=call.outputs)


def _sum_of_two(call: Call) -> dict:
    """A factor (``alpha``) that is not 1 costs a product as well."""
    factor = call.get('alpha', 1)
    return amounts(
        'add', adds=call.outputs, macs=call.outputs if factor != 1 else 0)


def comparisons(call: Call) -> dict:
    """One comparison per output element.

    Args:
        call (Call): The call.
    """
    return amounts('real', comparisons=call.outputs)


def _products(call: Call) -> dict:
    """One per output element; four for two complex numbers."""
    operands = call.get('self'), call.get('other', call.get('self'))
    both = all(
        x.is_complex() if isinstance(x, torch.Tensor) else isinstance(
            x, complex) for x in operands)
    return amounts('real', macs=call.outputs * (2 if both else 1))


def functions(call: Call) -> dict:
    """One operation of another kind per output element.

    Args:
        call (Call): The call.
    """
    return amounts('real', other=call.outputs)


def _power(call: Call) -> dict:
    """A square is one product, a cube two; any other power one operation."""
    exponent = call['exponent']
    if not isinstance(exponent, torch.Tensor) and exponent in (2, 3):
        return amounts('real', macs=(exponent - 1) * call.outputs)
    return functions(call)


def _multiply_and_add(call: Call) -> dict:
    """``self + value * tensor1 * tensor2``."""
    factors = 2 if call['value'] != 1 else 1
    return amounts('real', macs=factors * call.outputs)


def _divide_and_add(call: Call) -> dict:
    """``self + value * tensor1 / tensor2``."""
    more = call.outputs if call['value'] != 1 else 0
    return amounts(
        'real', other=call.outputs, adds=call.outputs, macs=more)


def _interpolate(call: Call) -> dict:
    """``self + weight * (end - self)``."""
    return amounts('real', adds=call.outputs, macs=call.outputs)


def _slope(call: Call) -> dict:
    """A comparison, and a product where it is negative, which is charged for
    all."""
    return amounts('real', comparisons=call.outputs, macs=call.outputs)


def _gate(call: Call) -> dict:
    """A sigmoid and a product."""
    return amounts('real', other=call.outputs, macs=call.outputs)


def _drop(call: Call) -> dict:
    """A product where values are dropped; nothing in eval mode."""
    if call.get('train') is False:
        return None
    return amounts('real', macs=call.outputs)


def _square_error(call: Call) -> dict:
    """A difference and its square; a sum where one is asked for."""
    number = numbers_together(call['self'], call['target'])
    reduced = number if call.get('reduction', 0) else 0
    mean = 1 if call.get('reduction', 0) == 1 else 0
    return amounts('real', adds=number + reduced, macs=number, other=mean)


def _absolute_error(call: Call) -> dict:
    """A difference, its size and whether it is small, and its square; a sum
    where one is asked for."""
    cost = dict(_square_error(call))
    number = numbers_together(call['self'], call['target'])
    return dict(cost, comparisons=2 * number)


def _cross_entropy(call: Call) -> dict:
    """Two logarithms, two products, and two additions an element; a sum where
    one is asked for."""
    number = numbers(call['self'])
    reduced = number if call.get('reduction', 0) else 0
    mean = 1 if call.get('reduction', 0) == 1 else 0
    return amounts(
        'real',
        adds=2 * number + reduced,
        macs=2 * number,
        other=2 * number + mean)


def _always(call: Call, largest: float) -> bool:
    return True


def _passes_zero(call: Call, largest: float) -> bool:
    """A threshold below or at zero, from which zero follows."""
    return call['threshold'] < 0 or (call['threshold'] == 0 and
                                     call['value'] == 0)


def _passes_positive(call: Call, largest: float) -> bool:
    """An ELU, which leaves positive numbers as they are."""
    return call['scale'] == 1


def _whole(call: Call, largest: float) -> bool:
    """A scale that is a whole number, and no rounding to tens. Zeros that are
    written over spikes have no scale."""
    scale = getattr(call['self'], 'scale', 1)
    return scale % 1 == 0 and call.get('decimals', 0) >= 0


def _keeps(cost, when=_always) -> dict:
    return dict(effect=Effect.UNCHANGED, when=when, cost=cost)


def _bounded(*data: str, lows=(), highs=()) -> dict:
    """The larger of elements and low bounds, the smaller of them and high
    ones."""
    return dict(effect=Effect.EXTREME, cost=comparisons, lows=lows,
                highs=highs, data=(*data, *lows, *highs))


RULES = {
    # Additions, products, divisions
    **rules('neg _neg_view _neg_view_copy', cost=additions),
    **rules('add sub subtract rsub', cost=_sum_of_two),
    **rules('mul', cost=_products),
    **rules('square ldexp', cost=_products),
    **rules('addcmul', cost=_multiply_and_add),
    **rules('addcdiv', cost=_divide_and_add),
    **rules('lerp', cost=_interpolate),
    **rules('native_dropout _fused_dropout', cost=_drop),
    **rules('_masked_scale', cost=_products),
    **rules('pow', cost=_power),
    **rules('floor_divide', cost=functions),
    # Comparisons
    **rules(
        """
        eq ne lt le gt ge logical_and logical_or logical_not logical_xor
        bitwise_and bitwise_or bitwise_not bitwise_xor bitwise_left_shift
        bitwise_right_shift sign sgn signbit isnan isinf isfinite isposinf
        isneginf frac __and__ __or__ __xor__
        __lshift__ __rshift__ __iand__ __ior__ __ixor__ copysign heaviside
        isreal nonzero_static
        """, cost=comparisons),
    **rules('relu abs', **_keeps(comparisons)),
    **rules('floor ceil round trunc', **_keeps(comparisons, _whole)),
    **rules('clamp', **_bounded('self', lows=('min', ), highs=('max', ))),
    **rules('clamp_min', **_bounded('self', lows=('min', ))),
    **rules('clamp_max', **_bounded('self', highs=('max', ))),
    **rules('hardtanh', **_bounded('self', lows=('min_val', ),
                                   highs=('max_val', ))),
    **rules('maximum fmax', **_bounded(lows=('self', 'other'))),
    **rules('minimum fmin', **_bounded(highs=('self', 'other'))),
    **rules('threshold', **_keeps(functions, _passes_zero)),
    **rules('relu6', **_keeps(
        functions, lambda call, largest: largest <= 6)),
    **rules('nan_to_num', **_keeps(functions)),
    # Functions that count as one operation, with the comparisons and products
    # that are in them
    **rules('leaky_relu _prelu_kernel', **_keeps(_slope)),
    **rules('rrelu_with_noise rrelu_with_noise_functional',
            **_keeps(_slope, lambda call, largest: not call['training'])),
    **rules('elu', **_keeps(functions, _passes_positive)),
    **rules('celu', **_keeps(functions)),
    **rules('glu', cost=_gate),
    **rules(
        """
        acos acosh angle asin asinh atan atan2 atanh conj_physical
        _conj_physical cos cosh deg2rad digamma div erf erfc erfinv exp exp2
        expm1 fmod gcd gelu hardshrink hardsigmoid hardswish hypot i0 igamma
        igammac lcm lgamma log log10 log1p log2 log_sigmoid_forward logaddexp
        logaddexp2 logit mish mvlgamma nextafter polar polygamma rad2deg
        reciprocal remainder rsqrt selu sigmoid silu sin sinc sinh softplus
        softshrink special_bessel_j0 special_bessel_j1 special_entr
        special_erfcx special_i0e special_i1 special_i1e special_log_ndtr
        special_ndtri special_xlog1py special_zeta sqrt tan tanh true_divide
        xlogy float_power frexp
        """, cost=functions),
    # Losses
    **rules('mse_loss', cost=_square_error),
    **rules('smooth_l1_loss huber_loss', cost=_absolute_error),
    **rules('binary_cross_entropy binary_cross_entropy_with_logits '
            'soft_margin_loss', cost=_cross_entropy),
    **rules('nll_loss_forward nll_loss2d_forward nll_loss_nd',
            cost=lambda call: amounts('add', adds=numbers(call['target']))),
}
