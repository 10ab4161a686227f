"""The T x D neuron: all its time steps in one pass.

Tensors over time are (samples, T, size), states (samples, size). A program
takes a block of neurons through all time steps.
"""

import triton
import triton.language as tl

from .arithmetic import in_window, over_threshold, spike_count, wide

# What the byte says that is kept for each element.
WINDOW = tl.constexpr(1)
FIRED = tl.constexpr(2)
NO_NUMBER = tl.constexpr(4)


@triton.jit
def index(number, LONG: tl.constexpr):
    """A number that offsets are computed with: 64 bits wide where they
    are, since a product of two sizes is as wide as these."""
    if LONG:
        return tl.cast(number, tl.int64)
    else:
        return number


@triton.jit
def places(block, samples, size, TIMESTEPS: tl.constexpr, FLAT: tl.constexpr,
           LONG: tl.constexpr, BLOCK: tl.constexpr):
    """Where the states of a block of neurons are, where their inputs in the
    first time step are, and which of them there are. A block is of one
    sample, or, where these are small (FLAT), of several."""
    lane = tl.arange(0, BLOCK)
    block = index(block, LONG)
    samples, size = index(samples, LONG), index(size, LONG)
    if FLAT:
        own = block * BLOCK + lane
        earlier = own // size * size
        return own, own + earlier * (TIMESTEPS - 1), own < samples * size
    else:
        blocks = (size + BLOCK - 1) // BLOCK
        earlier = block // blocks * size
        first = block % blocks * BLOCK
        return (earlier + first + lane, earlier * TIMESTEPS + first + lane,
                lane < size - first)


@triton.jit
def start_of(state, own, inside, REAL: tl.constexpr, BLOCK: tl.constexpr):
    """A state, or the gradient of one; zero for None."""
    if state is None:
        return tl.full([BLOCK], 0, REAL)
    else:
        return tl.load(state + own, mask=inside)


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
def time_kernel(x, state, decay, out, left, kept, samples, size,
                MAX_SPIKES: tl.constexpr, SCALE: tl.constexpr,
                THRESHOLD: tl.constexpr, INVERSE: tl.constexpr,
                DISTANCE: tl.constexpr, DECAY: tl.constexpr,
                DECAY_INPUT: tl.constexpr, HARD: tl.constexpr,
                REAL: tl.constexpr, TIMESTEPS: tl.constexpr,
                FLAT: tl.constexpr, LONG: tl.constexpr, BLOCK: tl.constexpr):
    """Counts times the scale; the state left and a byte per element, unless
    they are None. ``state`` may be None: zero."""
    own, at, inside = places(
        tl.program_id(0), samples, size, TIMESTEPS, FLAT, LONG, BLOCK)
    h = start_of(state, own, inside, REAL, BLOCK)
    decays, gain = decay_of(decay, DECAY, REAL)
    for _ in range(TIMESTEPS):
        inputs = tl.load(x + at, mask=inside).to(REAL)
        v = charge(h, inputs, decays, gain, DECAY_INPUT)
        u = over_threshold(v, THRESHOLD, INVERSE)
        count = spike_count(u, MAX_SPIKES, DISTANCE)
        value = count * tl.full([], SCALE, REAL)
        tl.store(out + at, value, mask=inside)
        if kept is not None:
            byte = (in_window(u, MAX_SPIKES, DISTANCE).to(tl.uint8) * WINDOW +
                    (count > 0).to(tl.uint8) * FIRED +
                    (count != count).to(tl.uint8) * NO_NUMBER)
            tl.store(kept + at, byte.to(tl.uint8), mask=inside)
        h = discharge(v, count, THRESHOLD, HARD)
        at += size
    if left is not None:
        tl.store(left + own, h, mask=inside)
