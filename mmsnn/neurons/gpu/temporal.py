"""The T x D neuron (:meth:`..SpikingNeuron.unroll`) by kernels: all its time
steps in one pass, the membranes in registers.

What is kept for the backward pass is what :mod:`..temporal` keeps on the CPU:
a byte per element, or the input where the membrane potentials are needed,
which are then computed again.
"""

import functools

import torch
from torch.autograd.function import once_differentiable

from .. import over_time
from .device import (
    dense,
    laid_out,
    launch,
    load,
    resident,
    rows,
    threshold_constants,
)

#: Constants of a backward pass that needs only bytes.
_BY_BYTES = ('SCALE', 'THRESHOLD', 'INVERSE', 'DECAY', 'DECAY_INPUT', 'HARD',
             'DETACH')


def fire_over_time(
        neuron,
        membrane: torch.Tensor,
        state: torch.Tensor | None,
        timesteps: int,
        inplace: bool = False,
        with_state: bool = True) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute what :meth:`..SpikingNeuron.run` returns in one pass.

    Args:
        neuron (SpikingNeuron): The neuron.
        membrane (Tensor): Inputs, (N * T, ...).
        state (Tensor, optional): Membrane potentials, (N, ...).
        timesteps (int): T.
        inplace (bool): The input may be overwritten where no gradient is
            needed. Defaults to False.
        with_state (bool): Whether the state left is wanted. Defaults to True.

    Returns:
        tuple[Tensor, Tensor | None]: Counts times scale, and the state left.
    """
    inputs = membrane, state, neuron.decay if neuron.learn_decay else None
    numbers, choices = map(tuple, over_time.options_of(neuron))
    if over_time.need_gradient(*inputs):
        return _FireOverTime.apply(*inputs, timesteps, numbers, choices,
                                   over_time.keeps_a_byte(neuron), with_state)
    output, left, _ = forward(*inputs, timesteps, numbers, choices, False,
                              with_state, inplace)
    return output, left


def smooth_firing(membrane: torch.Tensor, offset: float, surrogate: str,
                  slope: float) -> torch.Tensor:
    """:func:`..surrogate.smooth_firing`: a neuron with one time step.

    Args:
        membrane (Tensor): Membrane potential over the threshold, any shape.
        offset (float): As in :func:`..spike_count`.
        surrogate (str): ``'sigmoid'`` or ``'arctan'``.
        slope (float): Its slope.

    Returns:
        Tensor: 0 or 1, same shape, dtype and memory layout. In half types
        the slope is computed in float32.
    """
    numbers = 1., 0., 1., 1., float(slope), 1. - offset, 1.
    choices = 0, 0, 1, over_time.SURROGATES.index(surrogate)
    arguments = membrane, None, None, 1, numbers, choices, False, False
    if over_time.need_gradient(membrane):
        return _FireOverTime.apply(*arguments)[0]
    return forward(*arguments)[0]


def forward(
    membrane: torch.Tensor,
    state: torch.Tensor | None,
    learnt: torch.Tensor | None,
    timesteps: int,
    numbers: tuple[float, ...],
    choices: tuple[int, ...],
    keep: bool,
    with_state: bool,
    inplace: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Run the kernel.

    Args:
        membrane (Tensor): Inputs, (N * T, ...).
        state (Tensor, optional): Membrane potentials, (N, ...).
        learnt (Tensor, optional): The decay if it is learnt.
        timesteps (int): T.
        numbers (tuple[float, ...]): See :func:`..over_time.options_of`.
        choices (tuple[int, ...]): See :func:`..over_time.options_of`.
        keep (bool): Whether bytes are kept for the backward pass.
        with_state (bool): Whether the state left is wanted.
        inplace (bool): The input may be overwritten. Defaults to False.

    Returns:
        tuple: Counts times scale, laid out as the input; the state left, or
        None; the bytes, or None.
    """
    x = _by_samples(membrane, timesteps)
    output = x if inplace or x is not membrane else torch.empty_like(x)
    kept = torch.empty_like(x, dtype=torch.uint8) if keep else None
    left = empty_state(x, timesteps) if with_state else None
    samples, size = _sizes(x, timesteps)
    programs, sharing = rows(x, samples, size)
    kernels = load()
    constants = dict(_constants(numbers, choices))
    for name in ('SURROGATE', 'SLOPE', 'DETACH'):
        del constants[name]
    launch(
        kernels.time_kernel,
        programs,
        x,
        _as_state(state, x, timesteps),
        None if learnt is None else learnt.detach(),
        output,
        left,
        kept,
        samples,
        size,
        REAL=kernels.REAL[x.dtype],
        TIMESTEPS=timesteps,
        num_warps=_warps(x, sharing['BLOCK']),
        **sharing,
        **constants)
    return _laid_out_as(membrane, output), left, kept


def backward(
    grad: torch.Tensor, grad_left: torch.Tensor | None,
    kept: torch.Tensor | None, membrane: torch.Tensor | None,
    state: torch.Tensor | None, learnt: torch.Tensor | None, timesteps: int,
    numbers: tuple[float, ...], choices: tuple[int, ...], wants_state: bool
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Run the kernel of the backward pass.

    Args:
        grad (Tensor): Gradient of the output.
        grad_left (Tensor, optional): That of the state left.
        kept (Tensor, optional): The bytes of :func:`forward`.
        membrane (Tensor, optional): Inputs, where no bytes were kept.
        state (Tensor, optional): The state before, where none were kept.
        learnt (Tensor, optional): The decay if it is learnt.
        timesteps (int): T.
        numbers (tuple[float, ...]): See :func:`..over_time.options_of`.
        choices (tuple[int, ...]): See :func:`..over_time.options_of`.
        wants_state (bool): Whether the gradient of the state is needed.

    Returns:
        tuple: Gradients of the inputs, of the state (None if not needed) and
        of the decay (None if it is not learnt).
    """
    x = _by_samples(membrane, timesteps) if kept is None else kept
    grad = laid_out(grad, x)
    out = torch.empty_like(x, dtype=grad.dtype)
    first = empty_state(out, timesteps) if wants_state else None
    samples, size = _sizes(out, timesteps)
    programs, sharing = rows(out, samples, size)
    kernels = load()
    constants = _constants(numbers, choices)
    options = dict(
        REAL=kernels.REAL[out.dtype],
        TIMESTEPS=timesteps,
        num_warps=_warps(out, sharing['BLOCK']),
        **sharing)
    grad_left = _as_state(grad_left, out, timesteps)
    if kept is not None:
        few = {name: constants[name] for name in _BY_BYTES}
        launch(kernels.time_back_kernel, programs, grad, grad_left, kept, out,
               first, samples, size, **few, **options)
        return out, first, None
    programs, room, parts = min(programs, resident(out.device)), None, None
    if timesteps > 1:
        room = out.new_empty(
            programs * sharing['BLOCK'] * (timesteps - 1),
            dtype=over_time.wide(out))
    if learnt is not None:
        parts = out.new_empty(programs, dtype=torch.float64)
    launch(kernels.time_recompute_back_kernel, programs, grad, grad_left, x,
           _as_state(state, x, timesteps), learnt, room, out, first, parts,
           samples, size, **constants, **options)
    of_decay = None if parts is None else parts.sum().to(learnt)
    return _laid_out_as(membrane, out), first, of_decay


class _FireOverTime(torch.autograd.Function):

    @staticmethod
    def forward(ctx, membrane, state, learnt, timesteps, numbers, choices,
                keep, with_state):
        output, left, kept = forward(membrane, state, learnt, timesteps,
                                     numbers, choices, keep, with_state)
        ctx.options = timesteps, numbers, choices
        ctx.save_for_backward(
            *((kept, None, None) if keep else (None, membrane, state)),
            learnt)
        ctx.set_materialize_grads(False)
        ctx.dtype = membrane.dtype
        return output, left

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, grad_left):
        kept, membrane, state, learnt = ctx.saved_tensors
        if grad is None:
            grad = torch.zeros_like(
                membrane if kept is None else kept, dtype=ctx.dtype)
        inputs = grad, grad_left, kept, membrane, state, learnt, *ctx.options
        wanted = ctx.needs_input_grad[:3]
        if over_time.are_followed(grad, grad_left):
            return *over_time.backward_followed(*inputs, wanted), *[None] * 5
        return *backward(*inputs, wanted[1]), *[None] * 5


@functools.cache
def _constants(numbers, choices):
    decay, _, threshold, scale, slope, distance, max_spikes = numbers
    decay_input, hard, detach, surrogate = choices
    return dict(
        MAX_SPIKES=int(max_spikes),
        SCALE=scale,
        DISTANCE=distance,
        SURROGATE=over_time.SURROGATES[surrogate],
        SLOPE=slope,
        DECAY=decay,
        DECAY_INPUT=bool(decay_input),
        HARD=bool(hard),
        DETACH=bool(detach),
        **threshold_constants(threshold))


def _warps(x, block):
    """So many that a thread reads 16 bytes at once."""
    return max(1, block * x.element_size() // 512)


def _sizes(x, timesteps):
    if timesteps == 1:
        return 1, x.numel()
    return x.shape[0] // timesteps, x.numel() // max(x.shape[0], 1)


def _by_samples(membrane, timesteps):
    """Dense, and one sample behind the other."""
    x = dense(membrane)
    if timesteps == 1 or x.is_contiguous() or x.stride(0) == x[0].numel():
        return x
    return x.contiguous()


def _laid_out_as(membrane, output):
    """As the input lies in memory, where that is another order."""
    if output.stride() == membrane.stride():
        return output
    like = torch.empty_like(membrane)
    return output if output.stride() == like.stride() else like.copy_(output)


def empty_state(x: torch.Tensor, timesteps: int) -> torch.Tensor:
    """Memory for the state of a neuron.

    Args:
        x (Tensor): Inputs, (N * T, ...), dense.
        timesteps (int): T.

    Returns:
        Tensor: (N, ...), of the layout of the input, in float32 or float64.
    """
    strides = x.stride()
    if timesteps > 1:
        strides = (x.numel() // max(x.shape[0], 1), *strides[1:])
    return torch.empty_strided((x.shape[0] // timesteps, *x.shape[1:]),
                               strides,
                               dtype=over_time.wide(x),
                               device=x.device)


def _as_state(state, x, timesteps):
    if state is None:
        return None
    like = empty_state(x, timesteps)
    if state.dtype == like.dtype and state.stride() == like.stride():
        return state
    return like.copy_(state)
