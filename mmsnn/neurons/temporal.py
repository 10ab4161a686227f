"""The T x D neuron over all its time steps in one pass, on CPU.

:meth:`SpikingNeuron.charge`, firing and :meth:`SpikingNeuron.discharge` are
the definition; the kernels of ``temporal.c`` compute the same. For the
backward pass one byte per element is kept with the rectangular surrogate. A
smooth one, a learnt decay, and a hard reset that passes gradients need the
membrane potentials: then the input is kept, and they are computed again.
"""

import ctypes

import torch
from torch.autograd.function import once_differentiable

from . import native

#: Neurons that go through all time steps together, as in temporal.c.
_BLOCK = 1024
_SURROGATES = ('rectangle', 'sigmoid', 'arctan')


class _Neuron(ctypes.Structure):
    """What the kernels know of a neuron, field by field as in temporal.c."""
    _fields_ = [
        *((name, ctypes.c_double)
          for name in ('decay', 'gain', 'threshold', 'scale', 'slope',
                       'distance', 'max_spikes')),
        *((name, ctypes.c_int64)
          for name in ('samples', 'timesteps', 'size')),
        *((name, ctypes.c_int32)
          for name in ('decay_input', 'hard', 'detach', 'surrogate',
                       'threads'))
    ]


def usable(membrane: torch.Tensor, state: torch.Tensor | None) -> bool:
    """Whether the kernels can run on an input and a state.

    Args:
        membrane (Tensor): Inputs, (N * T, ...).
        state (Tensor, optional): Membrane potentials, (N, ...).

    Returns:
        bool: Whether both are plain tensors on CPU, the inputs dense.
    """
    return (native.usable(membrane) and
            (state is None or
             (type(state) is torch.Tensor and state.device.type == 'cpu')))


def fire_over_time(neuron, membrane: torch.Tensor,
                   state: torch.Tensor | None, timesteps: int,
                   inplace: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute what :meth:`SpikingNeuron.run` returns in one pass.

    Args:
        neuron (SpikingNeuron): The neuron.
        membrane (Tensor): Inputs, (N * T, ...), for which :func:`usable`.
        state (Tensor, optional): Membrane potentials, (N, ...).
        timesteps (int): T.
        inplace (bool): The input may be overwritten where no gradient is
            needed.

    Returns:
        tuple[Tensor, Tensor]: Counts times scale, and the state left.
    """
    decay = neuron.decay
    options = _describe(neuron, decay, membrane, timesteps)
    if state is not None:
        state = state.to(_wide(membrane)).contiguous(
            memory_format=_memory_format(membrane))
    learnt = decay if neuron.learn_decay else None
    inputs = membrane, state, learnt
    if torch.is_grad_enabled() and any(
            x is not None and x.requires_grad for x in inputs):
        return _FireOverTime.apply(*inputs, options)
    output = membrane if inplace else torch.empty_like(membrane)
    return output, _forward(options, membrane, state, output)


def _describe(neuron, decay, membrane, timesteps) -> _Neuron:
    samples = membrane.shape[0] // timesteps
    if neuron.learn_decay:
        decay = decay.detach()
    return _Neuron(
        decay=float(decay),
        gain=float(1 - decay),
        threshold=neuron.threshold,
        scale=neuron.scale,
        slope=neuron.slope,
        distance=1 - neuron.offset,
        max_spikes=neuron.max_spikes,
        samples=samples,
        timesteps=timesteps,
        size=membrane.numel() // max(membrane.shape[0], 1),
        decay_input=neuron.decay_input,
        hard=neuron.reset == 'hard',
        detach=neuron.detach_reset,
        surrogate=_SURROGATES.index(neuron.surrogate),
        threads=torch.get_num_threads())


def _wide(x):
    return torch.promote_types(x.dtype, torch.float32)


def _memory_format(x):
    return (torch.contiguous_format
            if x.is_contiguous() else torch.channels_last)


def _empty_state(options, x):
    return torch.empty(
        (options.samples, *x.shape[1:]),
        dtype=_wide(x),
        memory_format=_memory_format(x))


def _pointer(x):
    return None if x is None else x.data_ptr()


def _forward(options, x, state, output, kept=None):
    left = _empty_state(options, x)
    native.kernel('time_forward', x.dtype)(ctypes.byref(options),
                                           *map(_pointer, (x, state, output,
                                                           left, kept)))
    return left


class _FireOverTime(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, state, decay, options):
        output, kept = torch.empty_like(x), None
        if not (options.surrogate or decay is not None
                or options.hard and not options.detach):
            kept = torch.empty_like(x, dtype=torch.uint8)
        left = _forward(options, x, state, output, kept)
        ctx.options, ctx.dtype = options, x.dtype
        ctx.save_for_backward(
            kept, *((x, state) if kept is None else (None, None)), decay)
        ctx.set_materialize_grads(False)
        return output, left

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, grad_left):
        options = ctx.options
        kept, x, state, decay = ctx.saved_tensors
        like = x if kept is None else kept
        layout = _memory_format(like)
        out = torch.empty_like(like, dtype=ctx.dtype)
        room = None
        if kept is None:
            room = torch.empty(
                options.threads * options.timesteps * _BLOCK, dtype=_wide(x))
        if grad is None:
            grad = torch.zeros_like(out)
        grad = grad.contiguous(memory_format=layout)
        if grad_left is not None:
            grad_left = grad_left.contiguous(memory_format=layout)
        first = (
            _empty_state(options, out) if ctx.needs_input_grad[1] else None)
        total = _empty_state(options, out) if decay is not None else None
        native.kernel('time_backward', out.dtype)(
            ctypes.byref(options),
            *map(_pointer, (grad, grad_left, state, kept, x, room, out, first,
                            total)))
        if total is not None:
            total = total.sum(dtype=torch.float64).to(decay)
        return out, first, total, None
