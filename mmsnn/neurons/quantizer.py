"""The SFA quantiser: the one definition of spike counts and their gradient.

``count(u)`` is the number of d in 1..D with ``u >= d - 1/2``: round half up,
clipped to 0..D (paper, eq. 5). Half up, because that is what an IF neuron
with soft reset fires (proposition 1).

It is computed as ``clip(floor(u - 1/2), -1, D - 1) + 1``. The textbook form
``floor(u + 1/2)`` is wrong in floating point for the last number below one
half, whose sum with 1/2 rounds up to 1. ``u - 1/2`` is exact for every
``u >= 1/2`` that has a place for halves (in bfloat16: up to 128, so that D is
128 at most there, see :func:`.checks.check_type`), and for smaller u it is
negative, which is all that is needed.

The gradient is a rectangular window: ``scale`` where ``0 <= u <= D``, else 0.

Classical neurons fire at the threshold itself: ``u >= d``, the same with the
offset 0 in place of 1/2. Their count is ``clip(floor(u - 1), -1, D - 1) + 1``
(again exact), their window ``1/2 <= u <= D + 1/2``.
"""

import torch
from torch.autograd.function import once_differentiable

from . import gpu, native, ops, packed
from .checks import check_strided, check_type


def spike_count(membrane: torch.Tensor,
                max_spikes: int,
                offset: float = 0.5) -> torch.Tensor:
    """Integers 0..D that a neuron fires at a membrane potential.

    Args:
        membrane (Tensor): Membrane potential over the threshold, any shape.
        max_spikes (int): D.
        offset (float): What is added to the potential before it is rounded
            down, 1/2 (SFA) or 0 (classical neurons). Defaults to 1/2.

    Returns:
        Tensor: Spike counts, same shape, dtype and memory layout. No
        gradient flows; see :func:`spike_firing`.

    Raises:
        ValueError: If the dtype does not hold counts up to D.

    Example:
        >>> spike_count(torch.tensor([-1., .49, .5, 1.5, 2.4, 9.]), 4)
        tensor([0., 0., 1., 2., 2., 4.])
    """
    check_type(membrane.dtype, max_spikes)
    check_strided(membrane)
    with torch.no_grad():
        return _forward(membrane, max_spikes, 1.0, offset=offset)


def spike_firing(membrane: torch.Tensor,
                 max_spikes: int,
                 scale: float = 1.0,
                 inplace: bool = False,
                 offset: float = 0.5,
                 threshold: float = 1.0) -> torch.Tensor:
    """``spike_count(u, D) * scale`` with the rectangular-window gradient.

    For the backward pass one byte per element is kept (inside the window or
    not), never the membrane.

    Args:
        membrane (Tensor): Membrane potential over the threshold, any shape.
        max_spikes (int): D.
        scale (float): Factor on the counts. Defaults to 1.
        inplace (bool): The membrane may be overwritten where no gradient is
            needed. Defaults to False.
        offset (float): As in :func:`spike_count`. Defaults to 1/2.
        threshold (float): The membrane is divided by it first. Defaults to 1.

    Returns:
        Tensor: Same shape, dtype and memory layout.

    Raises:
        TypeError: If the membrane is no dense tensor of floating-point
            numbers.
        ValueError: If the dtype does not hold counts up to D times the scale.

    Example:
        >>> u = torch.tensor([-.1, 0., 1.6, 4., 4.1], requires_grad=True)
        >>> y = spike_firing(u, 4, scale=0.25)
        >>> y.sum().backward()
        >>> y.tolist(), u.grad.tolist()
        ([0.0, 0.0, 0.5, 1.0, 1.0], [0.0, 0.25, 0.25, 0.25, 0.0])
    """
    check_type(membrane.dtype, max_spikes, scale)
    check_strided(membrane)
    if gpu.usable(membrane):
        return _fire_on_gpu(membrane, max_spikes, scale, inplace, offset,
                            threshold)
    traced = native.is_traced()
    if threshold != 1:
        membrane = _over_threshold(membrane, threshold, inplace and not traced)
        inplace = True
    if not traced:
        if torch.is_grad_enabled() and membrane.requires_grad:
            if native.usable(membrane):
                return packed.fire(membrane, max_spikes, scale, offset)
            values = _SpikeFiring.apply(membrane, max_spikes, scale, offset)
            if not native.is_followed():
                packed.mark(values, max_spikes, scale)
            return values
        return _forward(membrane, max_spikes, scale, inplace, offset)
    values = _forward(membrane.detach(), max_spikes, scale, offset=offset)
    if torch.onnx.is_in_onnx_export():  # where nothing has a gradient
        return values
    low = 0.5 - offset
    window = (membrane >= low) & (membrane <= max_spikes + low)
    return with_gradient_of(torch.where(window, membrane, 0) * scale, values)


def with_gradient_of(smooth: torch.Tensor,
                     values: torch.Tensor) -> torch.Tensor:
    """Values with the gradient of another function, in plain operations.

    Args:
        smooth (Tensor): The other function; finite.
        values (Tensor): The values, without gradient, same shape.

    Returns:
        Tensor: The very values: ``smooth - smooth`` is zero.

    Example:
        >>> x = torch.tensor(1.7, requires_grad=True)
        >>> y = with_gradient_of(x * x, x.detach().floor())
        >>> y.backward()
        >>> y.item(), x.grad.item()
        (1.0, 3.4000000953674316)
    """
    return values + (smooth - smooth.detach())


def _over_threshold(u, threshold, inplace):
    if inplace and u.is_cpu and not (torch.is_grad_enabled()
                                     or torch.compiler.is_compiling()):
        return u.div_(threshold)
    return ops.over_threshold(u, threshold)


def _fire_on_gpu(u, max_spikes, scale, inplace, offset, threshold):
    if not (torch.is_grad_enabled() and u.requires_grad):
        return gpu.fire(u, max_spikes, scale, inplace, offset, threshold)
    values, kept = gpu.fire_in_training(u, max_spikes, scale, offset,
                                        threshold, packed.mask(max_spikes))
    packed.mark(values, max_spikes, scale, kept)
    return values


def _forward(u: torch.Tensor,
             max_spikes: int,
             scale: float,
             inplace: bool = False,
             offset: float = 0.5) -> torch.Tensor:
    if offset == 0.5 and native.usable(u):
        out = u if inplace else torch.empty_like(u)
        native.kernel('forward', u.dtype)(u.data_ptr(), out.data_ptr(),
                                          u.numel(), max_spikes, scale,
                                          torch.get_num_threads())
        return out
    if gpu.usable(u):
        return gpu.fire(u, max_spikes, scale, inplace, offset)
    out = u.sub_(1 - offset) if inplace else u - (1 - offset)
    out = out.floor_().clamp_(-1, max_spikes - 1).add_(1)
    return out if scale == 1 else out.mul_(scale)


class _SpikeFiring(torch.autograd.Function):
    """The definition, where no kernel can run (:func:`.packed.fire`)."""

    @staticmethod
    def forward(ctx, u, max_spikes, scale, offset):
        low = 0.5 - offset
        ctx.scale = scale
        ctx.save_for_backward((u >= low) & (u <= max_spikes + low))
        return _forward(u, max_spikes, scale, offset=offset)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        window, = ctx.saved_tensors
        return torch.where(window, grad * ctx.scale, 0), None, None, None
