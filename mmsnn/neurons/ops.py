"""Neurons as operations of ``torch.compile``.

A static neuron (:attr:`.spiking.SpikingNeuron.is_static`) is compiled as the
plain operations of :mod:`.quantizer`, so that inductor fuses it with what is
in front of and behind it. They are exact, whatever they are fused with, but
for the division by a threshold: inductor multiplies by the inverse, and rounds
to half types only at the end of what it fuses. Where that may give another
quotient, the division is an operation of its own, see :func:`over_threshold`.

Over time a neuron is one operation, :func:`fire_over_time`, where a kernel
can run. Unrolled, each time step would be several operations: their number,
and so the time to compile, grows with T; membranes would be written and read
between them; and a compiler that contracts ``state * decay + input`` to one
rounding fires other spikes than the neuron that is not compiled. Where no
kernel can run, it is unrolled.

All of them keep for the backward pass what they keep without
``torch.compile``.
"""

from collections.abc import Callable
from math import frexp

import torch
from torch import Tensor

from . import gpu, native, over_time, temporal
from .quotient import quotient


def constant_when_compiled(function: Callable) -> Callable:
    """Let ``torch.compile`` call a function once and keep its result.

    It is ``torch.compiler.assume_constant_result`` without its import of the
    compiler, a second, where perhaps nothing is compiled.

    Args:
        function (Callable): Its result depends on nothing that is compiled.

    Returns:
        Callable: The function itself.

    Example:
        >>> @constant_when_compiled
        ... def answer():
        ...     return 42
        >>> answer()
        42
    """
    function._dynamo_marked_constant = True
    return function


@constant_when_compiled
def _has_kernels(device: str, index: int | None) -> bool:
    if device == 'cpu':
        return native.load() is not None
    return gpu.device.works(device, index)


@constant_when_compiled
def _is_exporting() -> bool:
    # Called where nothing is traced: traced, PyTorch 2.8 answers True always.
    # PyTorch 2.6 can not tell: True then, which unrolls.
    tell = getattr(torch.compiler, 'is_exporting', None)
    return tell is None or tell()


def is_compiled() -> bool:
    """Whether ``torch.compile`` follows operations.

    Returns:
        bool: Not in ``torch.export``, whose programs are to run where this
        package is not.

    Example:
        >>> is_compiled()
        False
    """
    return torch.compiler.is_dynamo_compiling() and not _is_exporting()


def _is_for_gpu(tensor: Tensor) -> bool:
    return not tensor.is_cpu


@torch.library.custom_op('mmsnn::divide', mutates_args=())
def _divide(numerator: Tensor, denominator: float) -> Tensor:
    return quotient(numerator, denominator)


@_divide.register_fake
def _(numerator, denominator):
    return torch.empty_like(numerator)


def _keep_denominator(ctx, inputs, output):
    ctx.denominator = inputs[1]


def _divide_gradient(ctx, grad):
    return _divide(grad, ctx.denominator), None


_divide.register_autograd(_divide_gradient, setup_context=_keep_denominator)


def over_threshold(membrane: Tensor, threshold: float) -> Tensor:
    """A membrane potential over the threshold, rounded as without a compiler.

    Args:
        membrane (Tensor): Membrane potential, any shape.
        threshold (float): What it is divided by.

    Returns:
        Tensor: The quotient, same shape, dtype and memory layout.

    Example:
        >>> over_threshold(torch.tensor([1., 3.]), 0.5)
        tensor([2., 6.])
    """
    if is_compiled() and not _divides_exactly(membrane.dtype, threshold):
        return _divide(membrane, threshold)
    return quotient(membrane, threshold)


def _divides_exactly(dtype: torch.dtype, threshold: float) -> bool:
    """Whether inductor divides as PyTorch does: it may multiply by the
    inverse, and keep results of half types in float32."""
    return (frexp(threshold)[0] == 0.5
            and dtype in (torch.float32, torch.float64))


def usable(membrane: Tensor) -> bool:
    """Whether :func:`fire_over_time` can run on an input.

    Args:
        membrane (Tensor): Inputs, (N * T, ...).

    Returns:
        bool: Whether ``torch.compile`` follows, and a kernel will be there
        for what it compiles.

    Example:
        >>> usable(torch.zeros(4))
        False
    """
    device = membrane.device
    types = native.DTYPES if device.type == 'cpu' else gpu.device.TYPES
    return (is_compiled() and membrane.dtype in types
            and native.is_dense(membrane)
            and _has_kernels(device.type, device.index))


@torch.library.custom_op('mmsnn::fire_over_time', mutates_args=())
def _fire_over_time(membrane: Tensor, state: Tensor | None,
                    learnt: Tensor | None, timesteps: int,
                    numbers: list[float], choices: list[int], keep: bool,
                    with_state: bool) -> tuple[Tensor, Tensor, Tensor]:
    if _is_for_gpu(membrane):
        found = gpu.temporal.forward(membrane, state, learnt, timesteps,
                                     tuple(numbers), tuple(choices), keep,
                                     with_state)
    else:
        options = temporal.describe(numbers, choices, learnt, membrane,
                                    timesteps)
        output = torch.empty_like(membrane)
        kept = torch.empty_like(membrane, dtype=torch.uint8) if keep else None
        left = temporal.forward(options, membrane, state, output, kept)
        found = output, left if with_state else None, kept
    return tuple(membrane.new_empty(0) if x is None else x for x in found)


@_fire_over_time.register_fake
def _(membrane, state, learnt, timesteps, numbers, choices, keep, with_state):
    none = membrane.new_empty(0)
    return (torch.empty_like(membrane),
            _empty_state(membrane, timesteps) if with_state else none,
            torch.empty_like(membrane, dtype=torch.uint8) if keep else none)


def _empty_state(membrane, timesteps):
    make = gpu.temporal if _is_for_gpu(membrane) else temporal
    return make.empty_state(membrane, timesteps)


@torch.library.custom_op('mmsnn::fire_over_time_backward', mutates_args=())
def _fire_over_time_backward(
        grad: Tensor, grad_left: Tensor | None, kept: Tensor | None,
        membrane: Tensor | None, state: Tensor | None, learnt: Tensor | None,
        timesteps: int, numbers: list[float], choices: list[int],
        wants_state: bool) -> tuple[Tensor, Tensor, Tensor]:
    inputs = grad, grad_left, kept, membrane, state, learnt
    if _is_for_gpu(grad):
        found = gpu.temporal.backward(*inputs, timesteps, tuple(numbers),
                                      tuple(choices), wants_state)
    else:
        options = temporal.describe(numbers, choices, learnt, grad, timesteps)
        found = temporal.backward(options, *inputs, wants_state)
    return tuple(grad.new_empty(0) if x is None else x for x in found)


@_fire_over_time_backward.register_fake
def _(grad, grad_left, kept, membrane, state, learnt, timesteps, numbers,
      choices, wants_state):
    out = torch.empty_like(membrane if kept is None else kept,
                           dtype=grad.dtype)
    none = grad.new_empty(0)
    return (out, _empty_state(out, timesteps) if wants_state else none,
            none if learnt is None else torch.empty_like(learnt))


def _keep(ctx, inputs, output):
    membrane, state, learnt, *options, keep, with_state = inputs
    _, left, kept = output
    ctx.options, ctx.dtype = options, membrane.dtype
    ctx.save_for_backward(
        *((kept, None, None) if keep else (None, membrane, state)), learnt)
    ctx.mark_non_differentiable(*((kept, ) if with_state else (left, kept)))
    ctx.set_materialize_grads(False)


def _pass(ctx, grad, grad_left, _):
    kept, membrane, state, learnt = ctx.saved_tensors
    if grad is None:
        grad = torch.zeros_like(
            membrane if kept is None else kept, dtype=ctx.dtype)
    return *over_time.backward_followed(
        grad, grad_left, kept, membrane, state, learnt, *ctx.options,
        ctx.needs_input_grad[:3]), *[None] * 5


_fire_over_time.register_autograd(_pass, setup_context=_keep)


def fire_over_time(
        neuron,
        membrane: Tensor,
        state: Tensor | None,
        timesteps: int,
        with_state: bool = True) -> tuple[Tensor, Tensor | None]:
    """:func:`.temporal.fire_over_time` as one operation.

    Args:
        neuron (SpikingNeuron): The neuron.
        membrane (Tensor): Inputs, (N * T, ...), for which :func:`usable`.
        state (Tensor, optional): Membrane potentials, (N, ...).
        timesteps (int): T.
        with_state (bool): Whether the state left is wanted. Defaults to True.

    Returns:
        tuple[Tensor, Tensor | None]: Counts times scale, and the state left.

    Example:
        >>> from mmsnn.neurons import SFANeuron
        >>> neuron = SFANeuron(max_spikes=4, scale=1)
        >>> fire_over_time(neuron, torch.tensor([0.75, 0.75]), None, 2)
        (tensor([1., 1.]), tensor([-0.5000]))
    """
    inputs = (membrane, temporal.as_state(state, membrane),
              neuron.decay if neuron.learn_decay else None)
    keep = over_time.keeps_a_byte(neuron) and over_time.need_gradient(*inputs)
    output, left, _ = _fire_over_time(
        *inputs, timesteps, *over_time.options_of(neuron), keep, with_state)
    return output, left if with_state else None
