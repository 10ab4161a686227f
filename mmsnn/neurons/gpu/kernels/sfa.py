"""Kernels of the quantiser: one element, one count."""

import triton
import triton.language as tl

from .arithmetic import (
    in_window,
    over_threshold,
    rounded,
    spike_count,
    wide,
)


@triton.jit
def block_start(LONG: tl.constexpr, BLOCK: tl.constexpr):
    """Number of a program's first element."""
    program = tl.program_id(0)
    if LONG:
        program = tl.cast(program, tl.int64)
    return program * BLOCK


@triton.jit
def fire_kernel(u, out, kept, n, MAX_SPIKES: tl.constexpr,
                SCALE: tl.constexpr, THRESHOLD: tl.constexpr,
                INVERSE: tl.constexpr, DISTANCE: tl.constexpr,
                MASK: tl.constexpr, LONG: tl.constexpr, BLOCK: tl.constexpr):
    """Counts times the scale; and unless that is None the bytes of
    ``packed.py``: the counts, as far as MASK lets them through, and from 128
    on where the potential is in the window."""
    start = block_start(LONG, BLOCK)
    at = tl.arange(0, BLOCK)
    inside = at < n - start
    x = wide(tl.load(u + start + at, mask=inside))
    if THRESHOLD != 1:
        x = rounded(over_threshold(x, THRESHOLD, INVERSE), u)
    count = spike_count(x, MAX_SPIKES, DISTANCE)
    value = count * tl.full([], SCALE, count.dtype)
    tl.store(out + start + at, value, mask=inside)
    if kept is not None:
        byte = in_window(x, MAX_SPIKES, DISTANCE).to(tl.int32) * 128
        if MASK > 0:
            number = tl.where(count == count, count, MASK)
            byte += number.to(tl.int32) & MASK
        tl.store(kept + start + at, byte.to(tl.uint8), mask=inside)


@triton.jit
def fire_back_kernel(grad, kept, out, n, SCALE: tl.constexpr,
                     THRESHOLD: tl.constexpr, INVERSE: tl.constexpr,
                     LONG: tl.constexpr, BLOCK: tl.constexpr):
    """Gradient of the potential from that of the counts."""
    start = block_start(LONG, BLOCK)
    at = tl.arange(0, BLOCK)
    inside = at < n - start
    g = wide(tl.load(grad + start + at, mask=inside))
    byte = tl.load(kept + start + at, mask=inside)
    g = tl.where(byte >= 128, g * tl.full([], SCALE, g.dtype), 0.0)
    if THRESHOLD != 1:
        g = over_threshold(rounded(g, grad), THRESHOLD, INVERSE)
    tl.store(out + start + at, g, mask=inside)


@triton.jit
def pack_kernel(values, kept, n, SCALE: tl.constexpr, MASK: tl.constexpr,
                LONG: tl.constexpr, BLOCK: tl.constexpr):
    """Bytes of counts times the scale; MASK stands for NaN."""
    start = block_start(LONG, BLOCK)
    at = tl.arange(0, BLOCK)
    inside = at < n - start
    x = wide(tl.load(values + start + at, mask=inside))
    # Counts are whole: of the quotient the nearest is right, however it is
    # rounded itself.
    count = tl.floor(x * tl.full([], 1 / SCALE, x.dtype) + 0.5)
    count = tl.where(count == count, count, MASK)
    tl.store(
        kept + start + at, count.to(tl.int32).to(tl.uint8), mask=inside)


@triton.jit
def unpack_kernel(kept, values, n, SCALE: tl.constexpr, MASK: tl.constexpr,
                  REAL: tl.constexpr, LONG: tl.constexpr,
                  BLOCK: tl.constexpr):
    """Counts times the scale of their bytes; MASK stands for NaN."""
    start = block_start(LONG, BLOCK)
    at = tl.arange(0, BLOCK)
    inside = at < n - start
    count = tl.load(kept + start + at, mask=inside) & MASK
    value = count.to(tl.int32).to(REAL) * tl.full([], SCALE, REAL)
    value = tl.where(count == MASK, float('nan'), value)
    tl.store(values + start + at, value, mask=inside)


@triton.jit
def train_kernel(u, train, n, MAX_SPIKES: tl.constexpr,
                 DISTANCE: tl.constexpr, LONG: tl.constexpr,
                 BLOCK: tl.constexpr):
    """D binary tensors, one behind the other: the IF neuron's sub-steps."""
    start = block_start(LONG, BLOCK)
    at = tl.arange(0, BLOCK)
    inside = at < n - start
    excess = wide(tl.load(u + start + at, mask=inside)) - DISTANCE
    for _ in range(MAX_SPIKES):
        fires = (excess >= 0).to(excess.dtype)
        tl.store(train + start + at, fires, mask=inside)
        excess -= fires
        train += n
