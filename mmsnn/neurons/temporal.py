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
from .over_time import (
    are_followed,
    backward_followed,
    keeps_a_byte,
    need_gradient,
    options_of,
    wide,
)

#: Neurons that go through all time steps together, as in temporal.c.
_BLOCK = 1024


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
    inputs = (membrane, as_state(state, membrane),
              neuron.decay if neuron.learn_decay else None)
    numbers, choices = options_of(neuron)
    if need_gradient(*inputs):
        return _FireOverTime.apply(*inputs, timesteps, numbers, choices,
                                   keeps_a_byte(neuron))
    options = describe(numbers, choices, inputs[2], membrane, timesteps)
    output = membrane if inplace else torch.empty_like(membrane)
    return output, forward(options, *inputs[:2], output)


def as_state(state: torch.Tensor | None,
             membrane: torch.Tensor) -> torch.Tensor | None:
    """A state as the kernels read it.

    Args:
        state (Tensor, optional): Membrane potentials, (N, ...).
        membrane (Tensor): Inputs, (N * T, ...).

    Returns:
        Tensor: The state, of the layout of the input, in float32 or float64.
        None if it is None.
    """
    if state is None:
        return None
    return state.to(wide(membrane)).contiguous(
        memory_format=_memory_format(membrane))


def describe(numbers: list[float], choices: list[int],
             learnt: torch.Tensor | None, membrane: torch.Tensor,
             timesteps: int) -> _Neuron:
    """The structure that the kernels read.

    Args:
        numbers (list[float]): See :func:`options_of`.
        choices (list[int]): See :func:`options_of`.
        learnt (Tensor, optional): The decay if it is learnt.
        membrane (Tensor): Inputs, (N * T, ...).
        timesteps (int): T.

    Returns:
        _Neuron: The structure.
    """
    rows = membrane.shape[0]
    options = _Neuron(*numbers, rows // timesteps, timesteps,
                      membrane.numel() // max(rows, 1), *choices,
                      torch.get_num_threads())
    if learnt is not None:
        learnt = learnt.detach()
        options.decay, options.gain = float(learnt), float(1 - learnt)
    return options


def _memory_format(x):
    return (torch.contiguous_format
            if x.is_contiguous() else torch.channels_last)


def empty_state(membrane: torch.Tensor, timesteps: int) -> torch.Tensor:
    """Memory for the state of a neuron.

    Args:
        membrane (Tensor): Inputs, (N * T, ...).
        timesteps (int): T.

    Returns:
        Tensor: (N, ...), of the layout of the input, in float32 or float64.
    """
    return torch.empty(
        (membrane.shape[0] // timesteps, *membrane.shape[1:]),
        dtype=wide(membrane),
        device=membrane.device,
        memory_format=_memory_format(membrane))


def _pointer(x):
    return None if x is None else x.data_ptr()


def forward(options: _Neuron,
            x: torch.Tensor,
            state: torch.Tensor | None,
            output: torch.Tensor,
            kept: torch.Tensor | None = None) -> torch.Tensor:
    """Run the kernel.

    Args:
        options (_Neuron): See :func:`describe`.
        x (Tensor): Inputs, (N * T, ...).
        state (Tensor, optional): See :func:`as_state`.
        output (Tensor): Written: counts times scale, laid out as ``x``.
        kept (Tensor, optional): Written: bytes for the backward pass, laid
            out as ``x``.

    Returns:
        Tensor: The state left, (N, ...).
    """
    left = empty_state(x, options.timesteps)
    native.kernel('time_forward', x.dtype)(ctypes.byref(options),
                                           *map(_pointer, (x, state, output,
                                                           left, kept)))
    return left


class _FireOverTime(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, state, decay, timesteps, numbers, choices, keep):
        options = describe(numbers, choices, decay, x, timesteps)
        output = torch.empty_like(x)
        kept = torch.empty_like(x, dtype=torch.uint8) if keep else None
        left = forward(options, x, state, output, kept)
        ctx.options = timesteps, numbers, choices
        ctx.described = options
        ctx.save_for_backward(
            kept, *((None, None) if keep else (x, state)), decay)
        ctx.dtype = x.dtype
        ctx.set_materialize_grads(False)
        return output, left

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, grad_left):
        kept, x, state, decay = ctx.saved_tensors
        if grad is None:
            grad = torch.zeros_like(
                x if kept is None else kept, dtype=ctx.dtype)
        inputs, wanted = (kept, x, state, decay), ctx.needs_input_grad[:3]
        if are_followed(grad, grad_left):
            found = backward_followed(grad, grad_left, *inputs, *ctx.options,
                                      wanted)
        else:
            found = backward(ctx.described, grad, grad_left, *inputs,
                             wanted[1])
        return *found, *[None] * 4


def backward(
    options: _Neuron, grad: torch.Tensor, grad_left: torch.Tensor | None,
    kept: torch.Tensor | None, x: torch.Tensor | None,
    state: torch.Tensor | None, decay: torch.Tensor | None, wants_state: bool
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Run the kernel of the backward pass.

    Args:
        options (_Neuron): See :func:`describe`.
        grad (Tensor): Gradient of the output.
        grad_left (Tensor, optional): That of the state left.
        kept (Tensor, optional): What :func:`forward` has kept.
        x (Tensor, optional): Inputs, where nothing was kept.
        state (Tensor, optional): The state before, where nothing was kept.
        decay (Tensor, optional): The decay if it is learnt.
        wants_state (bool): Whether the gradient of the state is needed.

    Returns:
        tuple: Gradients of the inputs, of the state (None if not needed) and
        of the decay (None if it is not learnt).
    """
    like = x if kept is None else kept
    layout = _memory_format(like)
    out = torch.empty_like(like, dtype=grad.dtype)
    room = None
    if kept is None:
        room = torch.empty(
            options.threads * options.timesteps * _BLOCK, dtype=wide(x))
    grad = grad.contiguous(memory_format=layout)
    if grad_left is not None:
        grad_left = grad_left.contiguous(memory_format=layout)
    first = empty_state(out, options.timesteps) if wants_state else None
    total = None
    if decay is not None:
        total = empty_state(out, options.timesteps)
    native.kernel('time_backward', out.dtype)(
        ctypes.byref(options),
        *map(_pointer, (grad, grad_left, state, kept, x, room, out, first,
                        total)))
    if total is not None:
        total = total.sum(dtype=torch.float64).to(decay)
    return out, first, total
