"""Counting what fires, and what is no number."""

import triton
import triton.language as tl
from triton.language.standard import _sum_combine

from .arithmetic import spike_count, wide


@triton.jit
def count_kernel(u, out, reach, found, n, inner, positions,
                 MAX_SPIKES: tl.constexpr, SCALE: tl.constexpr,
                 LEVELS: tl.constexpr, LONG: tl.constexpr,
                 BLOCK: tl.constexpr):
    """Add to ``found``: spikes times ``reach`` at their position, elements
    that are NaN or infinite, and for each d in 1..MAX_SPIKES the elements
    with a count of at least d.

    ``u`` holds potentials, of which the counts times SCALE go to ``out``; or,
    where that is None, counts times SCALE. ``reach`` (float64) may be None.
    Element i is at position ``i // inner % positions``. LEVELS: a power of
    two from MAX_SPIKES on.
    """
    start = tl.program_id(0)
    step = tl.num_programs(0)
    if LONG:
        start = tl.cast(start, tl.int64)
        step = tl.cast(step, tl.int64)
    start *= BLOCK
    at = tl.arange(0, BLOCK)
    level = tl.arange(0, LEVELS)
    bad = tl.full([BLOCK], 0, tl.int64)
    reached = tl.full([BLOCK], 0, tl.int64)
    levels = tl.full([LEVELS], 0, tl.int64)
    for first in range(start, n, step * BLOCK):
        inside = at < n - first
        count = wide(tl.load(u + first + at, mask=inside, other=0.0))
        bad += (count - count != 0).to(tl.int64)
        if out is not None:
            count = spike_count(count, MAX_SPIKES, 0.5)
            value = count * tl.full([], SCALE, count.dtype)
            tl.store(out + first + at, value, mask=inside)
        if reach is not None:
            place = (first + at) // inner % positions
            factor = tl.load(reach + place, mask=inside, other=0.0)
            reached += count.to(tl.int64) * factor.to(tl.int64)
        d = tl.full([], 1, tl.int32)
        more = d <= MAX_SPIKES
        while more:
            edge = d.to(tl.float64) - 0.5
            if out is None:
                edge *= tl.full([], SCALE, tl.float64)
            fires = (count >= edge.to(count.dtype)) & inside
            fired = tl.reduce(fires.to(tl.int32), 0, _sum_combine)
            levels += tl.where(level == d - 1, fired, 0)
            d += 1
            more = (fired > 0) & (d <= MAX_SPIKES)
    if reach is not None:
        tl.atomic_add(found, tl.reduce(reached, 0, _sum_combine))
    tl.atomic_add(found + 1, tl.reduce(bad, 0, _sum_combine))
    if MAX_SPIKES > 0:
        tl.atomic_add(found + 2 + level, levels, mask=level < MAX_SPIKES)
