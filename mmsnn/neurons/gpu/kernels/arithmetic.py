"""What the kernels compute with: numbers, counts, surrogates."""

import triton
import triton.language as tl


@triton.jit
def wide(x):
    """As it is computed with: float64, or float32 for all other types."""
    if x.dtype == tl.float64:
        return x
    else:
        return x.to(tl.float32)


@triton.jit
def rounded(x, tensor):
    """``x`` as a tensor keeps it, at the place of a pointer."""
    return wide(x.to(tensor.dtype.element_ty))


@triton.jit
def divided(a, b):
    """``a / b``, rounded to nearest; 0 where float32 has it below its
    smallest normal number."""
    if a.dtype == tl.float64:
        return a / b
    else:
        return tl.div_rn(a, b)


@triton.jit
def over_threshold(x, THRESHOLD: tl.constexpr, INVERSE: tl.constexpr):
    """``x / THRESHOLD``, rounded to nearest. INVERSE is ``1 / THRESHOLD``
    where that is exact, so that the product is the quotient, else None."""
    if THRESHOLD == 1:
        return x
    elif INVERSE is None:
        # By way of float64 float32 is rounded right, subnormal numbers too,
        # which Triton's own division takes for 0.
        threshold = tl.full([], THRESHOLD, x.dtype).to(tl.float64)
        return (x.to(tl.float64) / threshold).to(x.dtype)
    else:
        return x * tl.full([], INVERSE, x.dtype)


@triton.jit
def spike_count(u, MAX_SPIKES: tl.constexpr, DISTANCE: tl.constexpr):
    """See ``quantizer.py``; DISTANCE is 1 less the offset. NaN stays NaN."""
    f = tl.floor(u - DISTANCE)
    if DISTANCE == 0:  # the difference may be subnormal, and floor takes 0
        f = tl.where(f > u, f - 1, f)
    f = tl.where(f < -1, -1.0, f)
    f = tl.where(f > MAX_SPIKES - 1, MAX_SPIKES - 1.0, f)
    return f + 1


@triton.jit
def in_window(u, MAX_SPIKES: tl.constexpr, DISTANCE: tl.constexpr):
    """Whether the rectangular surrogate is open."""
    return (u >= DISTANCE - 0.5) & (u <= MAX_SPIKES + (DISTANCE - 0.5))


@triton.jit
def exp_of_minus(y):
    """``exp(-y)`` for y >= 0, to the last bit as in ``temporal.c``: 2^-k times
    the series of exp(r), ``|r| <= log(2) / 2``."""
    if y.dtype == tl.float64:
        none = y > 708
        y = tl.where(none, 708.0, y)
        k = tl.floor(y * 1.4426950408889634 + 0.5)
        k = tl.where(k == k, k, 0.0)
        r = (k * 6.93147180369123816490e-01 -
             y) + k * 1.90821492927058770002e-10
        e = r * (1.0 / 6227020800) + 1.0 / 479001600
        e = e * r + 1.0 / 39916800
        e = e * r + 1.0 / 3628800
        e = e * r + 1.0 / 362880
        e = e * r + 1.0 / 40320
        e = e * r + 1.0 / 5040
        power = ((1023 - k.to(tl.int64)) << 52).to(tl.float64, bitcast=True)
    else:
        none = y > 87
        y = tl.where(none, 87.0, y)
        k = tl.floor(y * 1.4426950408889634 + 0.5)
        k = tl.where(k == k, k, 0.0)
        r = (k * 0.693145751953125 - y) + k * 1.428606765330187e-06
        e = r * 0.0 + 1.0 / 5040
        power = ((127 - k.to(tl.int32)) << 23).to(tl.float32, bitcast=True)
    e = e * r + 1.0 / 720
    e = e * r + 1.0 / 120
    e = e * r + 1.0 / 24
    e = e * r + 1.0 / 6
    e = e * r + 0.5
    e = e * r + 1
    e = e * r + 1
    return tl.where(none, 0.0, e * power)


@triton.jit
def surrogate_slope(u, MAX_SPIKES: tl.constexpr, DISTANCE: tl.constexpr,
                    SURROGATE: tl.constexpr, SLOPE: tl.constexpr):
    """Derivative of the count by the potential over the threshold."""
    if SURROGATE == 'sigmoid':
        slope = tl.full([], SLOPE, u.dtype)
        e = exp_of_minus(tl.abs((u - DISTANCE) * slope))
        return divided(e * slope, (e + 1) * (e + 1))
    elif SURROGATE == 'arctan':
        z = (u - DISTANCE) * tl.full([], 1.5707963267948966 * SLOPE,
                                         u.dtype)
        one = tl.full([], 1, u.dtype)
        return divided(one, z * z + 1) * tl.full([], SLOPE / 2, u.dtype)
    else:
        return in_window(u, MAX_SPIKES, DISTANCE).to(u.dtype)
