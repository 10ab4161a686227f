"""Gates that hand spikes on: ops that give the extremes of spikes."""

from collections.abc import Sequence

import torch

from mmsnn.conversion.rules.rule import Call
from mmsnn.conversion.spikes.spike_tensor import SpikeTensor

from .synapses import reach_of, spiking_amounts


def relay_amounts(inputs: Sequence[SpikeTensor], output: SpikeTensor) -> dict:
    """What depends on spikes in a max pooling of spikes, and the like.

    It is a layer of gates without membranes: in each sub-step a gate fires if
    one of its inputs does (or all of them do, where it takes the smallest).

    Args:
        inputs (Sequence[SpikeTensor]): What it reads.
        output (SpikeTensor): What it fires, (N * T, ...).

    Returns:
        dict: Fields of an :class:`~mmsnn.trace.OpRecord`: ``spikes`` that the
        gates fire in each of the T x D sub-steps, and those that arrive.

    Example:
        >>> counts = torch.tensor([[[0., 2., 1.]]])
        >>> spikes = SpikeTensor([counts], 1., 2, False)
        >>> pooled = torch.nn.functional.max_pool1d(spikes, 2, 1)
        >>> amounts = relay_amounts([spikes], pooled)
        >>> amounts['spikes'], amounts['in_spikes']
        ([2, 2], 3)
    """
    steps, most = output.timesteps, output.max_spikes
    counts = torch.atleast_1d(output.counts().long())
    spikes = [0] * steps * most
    if counts.numel():
        if counts.shape[0] % steps:
            steps = 1
        levels = counts.reshape(-1, steps, counts[0].numel())
        for t in range(steps):
            histogram = torch.bincount(levels[:, t].flatten(),
                                       minlength=most + 1)
            at_least = histogram.flip(0).cumsum(0).flip(0)[1:]
            spikes[t * most:(t + 1) * most] = at_least.tolist()
    whole = spiking_amounts(output)
    return dict(
        whole,
        spikes=spikes,
        in_spikes=sum(x.spikes for x in inputs),
        in_elements=sum(x.numel() for x in inputs))


def window_geometry(func, args: tuple, kwargs: dict) -> dict:
    """Which inputs each gate of a pooling reads, as of a convolution of each
    channel.

    Args:
        func (OpOverload): The op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.

    Returns:
        dict: ``geometry`` of an :class:`~mmsnn.trace.OpRecord`; empty for ops
        without windows of one size.

    Example:
        >>> func = torch.ops.aten.max_pool2d_with_indices.default
        >>> x = torch.zeros(1, 4, 6, 6)
        >>> found = window_geometry(func, (x, [2, 2]), {})
        >>> found['kernel'], found['stride'], found['groups']
        ([2, 2], [2, 2], 4)
    """
    call = Call(func, args, kwargs)
    kernel, x = call.get('kernel_size'), call.first
    if not kernel or call.get('stride') is None or x is None:
        return {}
    axes = next((n for n in (1, 2, 3) if f'{n}d' in func._schema.name), 0)
    if x.dim() != axes + 2:
        return {}

    def each(name: str, default) -> list[int]:
        values = list(call.get(name) or default)
        return [values[i % len(values)] for i in range(axes)]

    return dict(
        kernel=each('kernel_size', kernel),
        stride=each('stride', kernel),
        padding=each('padding', [0]),
        dilation=each('dilation', [1]),
        groups=x.shape[1],
        transposed=False)


def in_a_window(geometry: dict, x: torch.Tensor,
                output: torch.Tensor) -> torch.Tensor | None:
    """Which inputs of a pooling are in one of its windows, by position.

    Args:
        geometry (dict): From :func:`window_geometry`.
        x (Tensor): The input.
        output (Tensor): The result.

    Returns:
        Tensor | None: None where all are, or the windows are not known.
    """
    if not geometry:
        return None
    sizes = zip(x.shape[2:], output.shape[2:],
                *(geometry[name] for name in
                  ('kernel', 'stride', 'padding', 'dilation')))
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for size in sizes:
        reach = torch.tensor(reach_of(*size, False), device=x.device)
        inside = inside.unsqueeze(-1) & (reach > 0)
    return None if bool(inside.all()) else inside
