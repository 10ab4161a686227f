"""Exact counts of what synapses do with spikes."""

from functools import lru_cache
from math import prod

import torch

from mmsnn.conversion.rules.rule import Effect
from mmsnn.conversion.rules.table import RULES
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor, aten
from mmsnn.neurons import spikes_meeting

#: Ops of which the table of rules says that spikes are added up in them.
SYNAPSE_OPS = {
    getattr(aten, name) for name, rule in RULES.items()
    if rule.effect is Effect.SYNAPSE
}


def synapse_cost(func, args, out: torch.Tensor,
                 weight: int | None = None) -> dict:
    """Amounts of one convolution, linear or matrix product.

    A spike at an input element causes one addition for each output element
    that it reaches: padding, stride, dilation and groups are taken into
    account, not approximated.

    Args:
        func (OpOverload): An op of :data:`SYNAPSE_OPS`.
        args (tuple): Its arguments.
        out (Tensor): Its result.
        weight (int, optional): Which of the arguments holds weights that are
            known before the run. Defaults to None: none does, it is a product
            of two activations.

    Returns:
        dict: Fields of an :class:`~mmsnn.trace.OpRecord`.

    Example:
        >>> spikes = SpikeTensor([torch.tensor([[0., 2., 1.]])], 1., 2, False)
        >>> out = spikes @ (weight := torch.ones(3, 5))
        >>> cost = synapse_cost(aten.mm.default, (spikes, weight), out, 1)
        >>> cost['kind'], cost['in_spikes'], cost['sops']
        ('linear', 3, 15)
        >>> cost = synapse_cost(aten.mm.default, (spikes, weight), out)
        >>> cost['kind'], cost['static'], cost['weights'], cost['sops']
        ('matmul', False, 0, 15)
    """
    packet = func.overloadpacket
    if packet is aten.convolution:
        return dict(kind='conv', **_convolution(func, args, out,
                                                weight is not None))
    left, right = (x.unsqueeze(0) if x.dim() == 2 else x for x in args[-2:])
    bias = args[0] if packet is aten.addmm else None
    if weight is None:
        cost = dict(kind='matmul', **_product(left, right))
    else:
        cost = dict(kind='linear', **_linear(left, right,
                                             weight == len(args) - 1))
    cost['adds'] = out.numel() if bias is not None else 0
    if bias is not None and weight is not None:
        cost['weight_bytes'] += _bytes(bias)
    return cost


def fan_out(func, args, out: torch.Tensor) -> int | torch.Tensor:
    """How many output elements each spike reaches.

    Args:
        func (OpOverload): An op of :data:`SYNAPSE_OPS` with one operand of
            spikes.
        args (tuple): Its arguments.
        out (Tensor): Its result.

    Returns:
        int | Tensor: One number, or one per position of the input (float64)
        where spikes at its border reach fewer.
    """
    if func.overloadpacket is not aten.convolution:
        return _product_fan_out(*args[-2:])
    x, weight, _, stride, padding, dilation, transposed, _, groups = args
    kernel = weight.shape[2:]
    # (C_out, C_in / groups, ...), or (C_in, C_out / groups, ...) if transposed
    channels = weight.shape[1] if transposed else weight.shape[0] // groups
    reach = [
        reach_of(x.shape[i + 2], out.shape[i + 2], kernel[i],
               stride[i % len(stride)], padding[i % len(padding)],
               dilation[i % len(dilation)], transposed)
        for i in range(len(kernel))
    ]
    if all(len(set(r)) == 1 for r in reach):
        return channels * prod(r[0] for r in reach)
    positions = torch.tensor(
        float(channels), dtype=torch.float64, device=x.device)
    for r in reach:
        positions = positions.unsqueeze(-1) * positions.new_tensor(r)
    return positions


def _product_fan_out(left, right) -> int:
    if isinstance(left, SpikeTensor):
        return right.shape[-1]
    return left.shape[-2]


def _convolution(func, args, out, static: bool) -> dict:
    x, weight, bias, stride, padding, dilation, transposed, _, groups = args
    sites = x if transposed else out
    dense = sites.numel() * prod(weight.shape[2:]) * weight.shape[1]
    reach = fan_out(func, args, out)
    axes = weight.dim() - 2
    number = distinct(weight) if static else 0
    cost = dict(
        dense_ops=dense,
        adds=out.numel() if bias is not None else 0,
        weights=number,
        weight_bytes=number * weight.element_size() + _bytes(bias),
        synapses=x.numel() * reach if isinstance(reach, int) else
        x.shape[0] * x.shape[1] * int(reach.sum().item()),
        geometry=dict(
            kernel=list(weight.shape[2:]),
            stride=_per_axis(stride, axes),
            padding=_per_axis(padding, axes),
            dilation=_per_axis(dilation, axes),
            groups=groups,
            transposed=transposed))
    if not static:
        cost.update(static=False, accumulators=out.numel())
    if not isinstance(x, SpikeTensor):
        return dict(cost, macs=dense)
    if not static:  # the recorder knows how large weights can be
        terms = dense // max(1, out.numel())
        cost['accumulator_max'] = max(1, terms) * x.max_spikes
    if isinstance(reach, int):
        sops = x.spikes * reach
    else:
        sops = int((x.position_spikes() * reach).sum().item())
    return dict(cost, sops=sops, **spiking_amounts(x))


def _per_axis(numbers, axes: int) -> list[int]:
    return [numbers[i % len(numbers)] for i in range(axes)]


@lru_cache(maxsize=4096)
def reach_of(size: int, out: int, kernel: int, stride: int, padding: int,
           dilation: int, transposed: bool) -> tuple[int, ...]:
    """Along one axis: how many outputs each input position reaches.

    Args:
        size (int): Input positions.
        out (int): Output positions.
        kernel (int): Taps of the kernel.
        stride (int): Stride.
        padding (int): Padding on both sides.
        dilation (int): Distance of taps.
        transposed (bool): Whether it is a transposed convolution.

    Example:
        >>> reach_of(4, 4, 3, 1, 1, 1, False)
        (2, 3, 3, 2)
    """
    reach = [0] * size
    for a in range(size if transposed else out):
        for k in range(kernel):
            b = a * stride - padding + k * dilation
            if 0 <= b < (out if transposed else size):
                reach[a if transposed else b] += 1
    return tuple(reach)


def _linear(left, right, is_last: bool) -> dict:
    """(B, n, m) @ (B, m, p), where the last operand holds weights, or the
    first. Weights in front are a convolution with a kernel of 1."""
    x, weight = (left, right) if is_last else (right, left)
    dense = left.numel() * right.shape[-1]
    number = distinct(weight)
    cost = dict(
        dense_ops=dense,
        weights=number,
        weight_bytes=number * weight.element_size(),
        synapses=dense)
    if not is_last:
        cost['geometry'] = dict(kernel=[1], stride=[1], padding=[0],
                                dilation=[1], groups=1, transposed=False)
    if not isinstance(x, SpikeTensor):
        return dict(cost, macs=dense)
    return dict(cost, sops=x.spikes * _product_fan_out(left, right),
                **spiking_amounts(x))


def _product(left, right) -> dict:
    """(..., n, m) @ (..., m, p). Each spike of the train selects a row of the
    other operand to add; zeros of a spiking operand are not added."""
    dense = left.numel() * right.shape[-1]
    common = dict(
        dense_ops=dense,
        static=False,
        weights=0,
        accumulators=left.shape[:-1].numel() * right.shape[-1])
    if not isinstance(left, SpikeTensor) and not isinstance(
            right, SpikeTensor):
        return dict(common, macs=dense)
    train = left if isinstance(left, SpikeTensor) else right
    if isinstance(left, SpikeTensor) and isinstance(right, SpikeTensor):
        _, sops = spikes_meeting(left.counts(), right.decode())
        largest = right.max_spikes
    else:
        sops = train.spikes * _product_fan_out(left, right)
        largest = 1  # the recorder knows what the other operand can reach
    return dict(
        common,
        sops=sops,
        accumulator_max=left.shape[-1] * train.max_spikes * largest,
        **spiking_amounts(train))


def spiking_amounts(x: SpikeTensor) -> dict:
    """What a record says of spikes that an op reads.

    Args:
        x (SpikeTensor): The spikes.

    Returns:
        dict: Fields of an :class:`~mmsnn.trace.OpRecord`.
    """
    return dict(
        spiking=True,
        in_spikes=x.spikes,
        in_elements=x.numel(),
        max_spikes=x.max_spikes,
        timesteps=x.timesteps)


def distinct(x: torch.Tensor) -> int:
    """Elements of a tensor, those that an expanded view repeats once.

    Args:
        x (Tensor): The tensor.

    Returns:
        int: Their number.

    Example:
        >>> distinct(torch.ones(3, 5).expand(4, 3, 5))
        15
    """
    return prod(n for n, step in zip(x.shape, x.stride()) if step or n == 0)


def _bytes(*tensors) -> int:
    return sum(t.numel() * t.element_size() for t in tensors
               if t is not None)
