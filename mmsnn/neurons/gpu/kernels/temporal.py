"""The T x D neuron: all its time steps in one pass.

Tensors over time are (samples, T, size), states (samples, size). A program
takes a block of the neurons of one sample through all time steps.
"""

import triton
import triton.language as tl

from .arithmetic import in_window, over_threshold, spike_count, wide

# What the byte says that is kept for each element.
WINDOW = tl.constexpr(1)
FIRED = tl.constexpr(2)
NO_NUMBER = tl.constexpr(4)


@triton.jit
def place(block, size, LONG: tl.constexpr, BLOCK: tl.constexpr):
    """The sample of a block, and the block's first neuron there."""
    if LONG:
        block = tl.cast(block, tl.int64)
    blocks = (size + BLOCK - 1) // BLOCK
    return block // blocks, block % blocks * BLOCK


@triton.jit
def start_of(state, at, lane, inside, REAL: tl.constexpr):
    """A state, or the gradient of one; zero for None."""
    if state is None:
        return lane.to(REAL) * 0
    else:
        return tl.load(state + at + lane, mask=inside)


@triton.jit
def decay_of(decay, DECAY: tl.constexpr, REAL: tl.constexpr):
    """The decay, a learnt one from its place in memory, and the factor on
    the input."""
    if decay is None:
        return tl.full([], DECAY, REAL), tl.full([], 1 - DECAY, REAL)
    else:
        learnt = wide(tl.load(decay))
        gain = (1 - learnt).to(decay.dtype.element_ty)
        return learnt.to(REAL), gain.to(REAL)


@triton.jit
def charge(h, x, decay, gain, DECAY_INPUT: tl.constexpr):
    """The potential that an input makes of a state."""
    if DECAY_INPUT:
        return h + (x - h) * gain
    else:
        return h * decay + x


@triton.jit
def discharge(v, count, THRESHOLD: tl.constexpr, HARD: tl.constexpr):
    """What the reset leaves of a potential."""
    if HARD:
        return v * (1 - tl.where(count > 1, 1.0, count))
    else:
        return v - count * tl.full([], THRESHOLD, v.dtype)


@triton.jit
def time_kernel(x, state, decay, out, left, kept, size,
                MAX_SPIKES: tl.constexpr, SCALE: tl.constexpr,
                THRESHOLD: tl.constexpr, INVERSE: tl.constexpr,
                DISTANCE: tl.constexpr, DECAY: tl.constexpr,
                DECAY_INPUT: tl.constexpr, HARD: tl.constexpr,
                REAL: tl.constexpr, TIMESTEPS: tl.constexpr,
                LONG: tl.constexpr, BLOCK: tl.constexpr):
    """Counts times the scale; the state left and a byte per element, unless
    they are None. ``state`` may be None: zero."""
    sample, first = place(tl.program_id(0), size, LONG, BLOCK)
    lane = tl.arange(0, BLOCK)
    inside = lane < size - first
    own = sample * size + first
    h = start_of(state, own, lane, inside, REAL)
    decays, gain = decay_of(decay, DECAY, REAL)
    at = sample * size * TIMESTEPS + first
    for _ in range(TIMESTEPS):
        inputs = tl.load(x + at + lane, mask=inside).to(REAL)
        v = charge(h, inputs, decays, gain, DECAY_INPUT)
        u = over_threshold(v, THRESHOLD, INVERSE)
        count = spike_count(u, MAX_SPIKES, DISTANCE)
        value = count * tl.full([], SCALE, REAL)
        tl.store(out + at + lane, value, mask=inside)
        if kept is not None:
            byte = (in_window(u, MAX_SPIKES, DISTANCE).to(tl.uint8) * WINDOW +
                    (count > 0).to(tl.uint8) * FIRED +
                    (count != count).to(tl.uint8) * NO_NUMBER)
            tl.store(kept + at + lane, byte.to(tl.uint8), mask=inside)
        h = discharge(v, count, THRESHOLD, HARD)
        at += size
    if left is not None:
        tl.store(left + own + lane, h, mask=inside)
