"""The T x D neuron's gradients, back through all its time steps.

Where nobody reads the state that the last time step has left, nothing resets
it: 0 times infinity is no number.
"""

import triton
import triton.language as tl
from triton.language.standard import _sum_combine

from .arithmetic import over_threshold, spike_count, surrogate_slope
from .temporal import (
    FIRED,
    NO_NUMBER,
    WINDOW,
    charge,
    decay_of,
    discharge,
    index,
    places,
    start_of,
)


@triton.jit
def back_charge(w, out, at, inside, decay, gain, DECAY_INPUT: tl.constexpr):
    """From the gradient ``w`` of a potential to that of its input, which is
    stored, and of the state before."""
    if DECAY_INPUT:
        inputs = w * gain
        tl.store(out + at, inputs, mask=inside)
        return w - inputs
    else:
        tl.store(out + at, w, mask=inside)
        return w * decay


@triton.jit
def back_by_byte(grad, byte, g, SCALE: tl.constexpr, THRESHOLD: tl.constexpr,
                 INVERSE: tl.constexpr, HARD: tl.constexpr,
                 DETACH: tl.constexpr):
    """Gradient of a potential, from those of its counts and of the state
    ``g`` that it has left."""
    count = grad * tl.full([], SCALE, g.dtype)
    if not DETACH:
        count -= g * tl.full([], THRESHOLD, g.dtype)
    count = over_threshold(
        tl.where((byte & WINDOW) != 0, count, 0.0), THRESHOLD, INVERSE)
    if HARD:
        factor = 1 - ((byte & FIRED) != 0).to(g.dtype)
        factor = tl.where((byte & NO_NUMBER) != 0, float('nan'), factor)
        return count + g * factor
    else:
        return count + g


@triton.jit
def back_by_potential(grad, v, g, MAX_SPIKES: tl.constexpr,
                      SCALE: tl.constexpr, THRESHOLD: tl.constexpr,
                      INVERSE: tl.constexpr, DISTANCE: tl.constexpr,
                      SURROGATE: tl.constexpr, SLOPE: tl.constexpr,
                      HARD: tl.constexpr, DETACH: tl.constexpr):
    """The same from the potential ``v`` itself."""
    u = over_threshold(v, THRESHOLD, INVERSE)
    spikes = spike_count(u, MAX_SPIKES, DISTANCE)
    count = grad * tl.full([], SCALE, g.dtype)
    if HARD:
        if not DETACH:
            count -= g * tl.where(spikes <= 1, v, 0.0)
        g *= 1 - tl.where(spikes > 1, 1.0, spikes)
    elif not DETACH:
        count -= g * tl.full([], THRESHOLD, g.dtype)
    slope = surrogate_slope(u, MAX_SPIKES, DISTANCE, SURROGATE, SLOPE)
    if SURROGATE == 'rectangle':
        fired = tl.where(slope == 0, 0.0, count)
    else:
        fired = count * slope
    return over_threshold(fired, THRESHOLD, INVERSE) + g


@triton.jit
def time_back_kernel(grad, grad_left, kept, out, grad_state, samples, size,
                     SCALE: tl.constexpr, THRESHOLD: tl.constexpr,
                     INVERSE: tl.constexpr, DECAY: tl.constexpr,
                     DECAY_INPUT: tl.constexpr, HARD: tl.constexpr,
                     DETACH: tl.constexpr, REAL: tl.constexpr,
                     TIMESTEPS: tl.constexpr, FLAT: tl.constexpr,
                     LONG: tl.constexpr, BLOCK: tl.constexpr):
    """Gradients of the inputs and, unless it is None, of the state, from
    those of the counts and of the state left (None: zero), by the bytes."""
    own, at, inside = places(
        tl.program_id(0), samples, size, TIMESTEPS, FLAT, LONG, BLOCK)
    decay, gain = decay_of(None, DECAY, REAL)
    size = index(size, LONG)
    at += size * (TIMESTEPS - 1)
    g = start_of(grad_left, own, inside, REAL, BLOCK)
    byte = tl.load(kept + at, mask=inside)
    of_count = tl.load(grad + at, mask=inside).to(REAL)
    if grad_left is None:
        w = back_by_byte(of_count, byte, g, SCALE, THRESHOLD, INVERSE, False,
                         True)
    else:
        w = back_by_byte(of_count, byte, g, SCALE, THRESHOLD, INVERSE, HARD,
                         DETACH)
    g = back_charge(w, out, at, inside, decay, gain, DECAY_INPUT)
    for _ in range(TIMESTEPS - 1):
        at -= size
        byte = tl.load(kept + at, mask=inside)
        of_count = tl.load(grad + at, mask=inside).to(REAL)
        w = back_by_byte(of_count, byte, g, SCALE, THRESHOLD, INVERSE, HARD,
                         DETACH)
        g = back_charge(w, out, at, inside, decay, gain, DECAY_INPUT)
    if grad_state is not None:
        tl.store(grad_state + own, g, mask=inside)


@triton.jit
def by_decay(w, h, x, DECAY_INPUT: tl.constexpr):
    """Gradient of the decay; h: the state before."""
    if DECAY_INPUT:
        return w * (h - x)
    else:
        return w * h


@triton.jit
def time_recompute_back_kernel(
        grad, grad_left, x, state, decay, room, out, grad_state, grad_decay,
        samples, size, MAX_SPIKES: tl.constexpr, SCALE: tl.constexpr,
        THRESHOLD: tl.constexpr, INVERSE: tl.constexpr, DISTANCE: tl.constexpr,
        SURROGATE: tl.constexpr, SLOPE: tl.constexpr, DECAY: tl.constexpr,
        DECAY_INPUT: tl.constexpr, HARD: tl.constexpr, DETACH: tl.constexpr,
        REAL: tl.constexpr, TIMESTEPS: tl.constexpr, FLAT: tl.constexpr,
        LONG: tl.constexpr, BLOCK: tl.constexpr):
    """The same from the inputs. Each program takes several blocks; it keeps
    the potentials of all time steps but the last in its part of ``room``,
    and leaves its part of the decay's gradient, unless that is None."""
    program = index(tl.program_id(0), LONG)
    samples, size = index(samples, LONG), index(size, LONG)
    lane = tl.arange(0, BLOCK)
    if FLAT:
        blocks = (samples * size + BLOCK - 1) // BLOCK
    else:
        blocks = samples * ((size + BLOCK - 1) // BLOCK)
    decays, gain = decay_of(decay, DECAY, REAL)
    total = tl.full([BLOCK], 0, tl.float64)
    if TIMESTEPS > 1:
        room += program.to(tl.int64) * (BLOCK * (TIMESTEPS - 1))
    for block in range(program, blocks, tl.num_programs(0)):
        own, at, inside = places(block, samples, size, TIMESTEPS, FLAT, LONG,
                                 BLOCK)
        before = start_of(state, own, inside, REAL, BLOCK)
        h = before
        if TIMESTEPS > 1:  # a loop is compiled even if it never runs
            for t in range(TIMESTEPS - 1):
                inputs = tl.load(x + at, mask=inside).to(REAL)
                v = charge(h, inputs, decays, gain, DECAY_INPUT)
                tl.store(room + t * BLOCK + lane, v)
                count = spike_count(
                    over_threshold(v, THRESHOLD, INVERSE), MAX_SPIKES,
                    DISTANCE)
                h = discharge(v, count, THRESHOLD, HARD)
                at += size
        inputs = tl.load(x + at, mask=inside).to(REAL)
        v = charge(h, inputs, decays, gain, DECAY_INPUT)
        g = start_of(grad_left, own, inside, REAL, BLOCK)
        of_count = tl.load(grad + at, mask=inside).to(REAL)
        if grad_left is None:
            w = back_by_potential(of_count, v, g, MAX_SPIKES, SCALE,
                                  THRESHOLD, INVERSE, DISTANCE, SURROGATE,
                                  SLOPE, False, True)
        else:
            w = back_by_potential(of_count, v, g, MAX_SPIKES, SCALE,
                                  THRESHOLD, INVERSE, DISTANCE, SURROGATE,
                                  SLOPE, HARD, DETACH)
        if grad_decay is not None:
            part = by_decay(w, h, inputs, DECAY_INPUT)
        g = back_charge(w, out, at, inside, decays, gain, DECAY_INPUT)
        if TIMESTEPS > 1:
            tl.debug_barrier()  # what other threads have stored is seen
            for i in range(TIMESTEPS - 1):
                t = TIMESTEPS - 2 - i
                at -= size
                v = tl.load(room + t * BLOCK + lane)
                of_count = tl.load(grad + at, mask=inside).to(REAL)
                w = back_by_potential(of_count, v, g, MAX_SPIKES, SCALE,
                                      THRESHOLD, INVERSE, DISTANCE, SURROGATE,
                                      SLOPE, HARD, DETACH)
                if grad_decay is not None:
                    v = tl.load(
                        room + (t - 1) * BLOCK + lane, mask=lane < t * BLOCK,
                        other=0.0)
                    count = spike_count(
                        over_threshold(v, THRESHOLD, INVERSE), MAX_SPIKES,
                        DISTANCE)
                    h = tl.where(t > 0, discharge(v, count, THRESHOLD, HARD),
                                 before)
                    inputs = tl.load(x + at, mask=inside).to(REAL)
                    part += by_decay(w, h, inputs, DECAY_INPUT)
                g = back_charge(w, out, at, inside, decays, gain,
                                DECAY_INPUT)
        if grad_state is not None:
            tl.store(grad_state + own, g, mask=inside)
        if grad_decay is not None:
            total += tl.where(inside, part, 0.0).to(tl.float64)
        if TIMESTEPS > 1:
            tl.debug_barrier()  # before it is overwritten
    if grad_decay is not None:
        tl.store(grad_decay + program,
                 tl.reduce(total, 0, _sum_combine))
