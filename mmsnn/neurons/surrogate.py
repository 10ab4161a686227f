"""Smooth surrogate gradients of a neuron that fires at most one spike.

The spike is a step of the distance to the threshold, ``x = u - (1 - offset)``
(u: membrane potential over the threshold); its derivative is replaced by

==========  ==================================================
sigmoid     ``slope * s * (1 - s)``, ``s = sigmoid(slope * x)``
arctan      ``slope / 2 / (1 + (pi / 2 * slope * x)^2)``
==========  ==================================================

Both have the integral 1, so that a larger slope is narrower and higher. The
rectangular window, for any D, is the quantiser's own gradient.
"""

import math

import torch
from torch.autograd.function import once_differentiable

from . import gpu, native
from .checks import check_strided, check_type
from .quantizer import spike_count, with_gradient_of


def sigmoid_slope(x: torch.Tensor, slope: float) -> torch.Tensor:
    """Derivative of ``sigmoid(slope * x)``.

    Args:
        x (Tensor): Distance of the potential to the threshold, any shape.
        slope (float): How steep the sigmoid is.

    Returns:
        Tensor: Same shape.

    Example:
        >>> sigmoid_slope(torch.tensor([0., torch.inf]), slope=4.)
        tensor([1., 0.])
    """
    # Of -|x|, so that no digits are lost where the sigmoid is nearly 1.
    e = torch.exp((x * slope).abs().neg())
    return e * slope / ((e + 1) * (e + 1))


def arctan_slope(x: torch.Tensor, slope: float) -> torch.Tensor:
    """Derivative of ``arctan(pi / 2 * slope * x) / pi``.

    Args:
        x (Tensor): Distance of the potential to the threshold, any shape.
        slope (float): How steep the arctan is.

    Returns:
        Tensor: Same shape.

    Example:
        >>> arctan_slope(torch.tensor([0., 1 / torch.pi]), slope=2.)
        tensor([1.0000, 0.5000])
    """
    z = x * (math.pi / 2 * slope)
    return slope / 2 / (z * z + 1)


SMOOTH = dict(sigmoid=sigmoid_slope, arctan=arctan_slope)
#: What they are the derivatives of, by the distance and the slope.
INTEGRALS = dict(
    sigmoid=lambda x, slope: torch.sigmoid(x * slope),
    arctan=lambda x, slope: torch.atan(x * (math.pi / 2 * slope)) / math.pi)


def smooth_firing(membrane: torch.Tensor, offset: float, surrogate: str,
                  slope: float) -> torch.Tensor:
    """``spike_count(u, 1, offset)`` with a smooth surrogate gradient.

    Args:
        membrane (Tensor): Membrane potential over the threshold, any shape.
        offset (float): As in :func:`mmsnn.neurons.spike_count`.
        surrogate (str): ``'sigmoid'`` or ``'arctan'``.
        slope (float): Its slope.

    Returns:
        Tensor: 0 or 1, same shape, dtype and memory layout.

    Example:
        >>> u = torch.tensor([0.5, 1.], requires_grad=True)
        >>> spikes = smooth_firing(u, 0., 'arctan', slope=2.)
        >>> spikes.sum().backward()
        >>> spikes.tolist(), u.grad[1].item()
        ([0.0, 1.0], 1.0)
    """
    check_type(membrane.dtype, 1)
    check_strided(membrane)
    if native.is_traced():
        spikes = spike_count(membrane.detach(), 1, offset)
        if torch.onnx.is_in_onnx_export():  # where nothing has a gradient
            return spikes
        smooth = INTEGRALS[surrogate](membrane - (1 - offset), slope)
        return with_gradient_of(smooth, spikes)
    if gpu.usable(membrane):
        return gpu.smooth_firing(membrane, offset, surrogate, slope)
    if torch.is_grad_enabled() and membrane.requires_grad:
        return _SmoothFiring.apply(membrane, offset, surrogate, slope)
    return spike_count(membrane, 1, offset)


class _SmoothFiring(torch.autograd.Function):

    @staticmethod
    def forward(ctx, u, offset, surrogate, slope):
        ctx.save_for_backward(u)
        ctx.options = offset, surrogate, slope
        return spike_count(u, 1, offset)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        u, = ctx.saved_tensors
        offset, surrogate, slope = ctx.options
        factor = SMOOTH[surrogate](u - (1 - offset), slope)
        return grad * factor, None, None, None
