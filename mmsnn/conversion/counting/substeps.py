"""What happens in each sub-step, for one image: costly to count."""

import torch

from mmsnn.conversion.spikes.spike_tensor import SpikeTensor, aten

from .synapses import fan_out


def substep_amounts(func, args, out: torch.Tensor, images: int) -> dict:
    """SOPs and touched outputs of the first image in each sub-step.

    Args:
        func (OpOverload): A convolution, linear or matrix product.
        args (tuple): Its arguments, at least one of them spikes.
        out (Tensor): Its result.
        images (int): Images in the batch.

    Returns:
        dict: ``sampled``, ``substep_sops`` and, where weights are static,
        ``touched`` of an :class:`OpRecord`. Empty if rows can't be told
        apart by image.
    """
    train = next(x for x in args if isinstance(x, SpikeTensor))
    rows = _rows(train, images)
    if not rows:
        return {}
    if func.overloadpacket is aten.bmm:
        return dict(sampled=1, substep_sops=_product(*args, rows))
    if func.overloadpacket is not aten.convolution:
        return _linear(train, args[-1], rows)
    return _convolution(func, args, out, rows)


def axis_spikes(spikes: SpikeTensor, images: int) -> list[list[list[int]]]:
    """How many spikes of the first image stand at each index of each axis.

    Args:
        spikes (SpikeTensor): What a neuron has fired, (N * T, ...).
        images (int): N, images in the batch.

    Returns:
        list: For each of the T x D sub-steps and each axis, the spikes at
        each index. The first axis has the rows of one image in a time step.
        Empty if rows can't be told apart by image.

    Example:
        >>> # Two spikes at one place, one at another; D is 2.
        >>> spikes = SpikeTensor([torch.tensor([[0., 2., 1.]])], 1., 2, False)
        >>> axis_spikes(spikes, images=1)
        [[[2], [0, 1, 1]], [[1], [0, 1, 0]]]
    """
    rows = _rows(spikes, images)
    if not rows:
        return []
    steps = _counts(spikes, rows).unflatten(0, (-1, spikes.timesteps))
    return [
        _marginals(step >= d + 1) for step in steps.unbind(1)
        for d in range(spikes.max_spikes)
    ]


def _marginals(fired: torch.Tensor) -> list[list[int]]:
    """Sums over all axes but one, for each of them."""
    found = []
    while fired.dim() > 1:
        found.append(fired.flatten(0, -2).sum(0).tolist())
        fired = fired.sum(-1)
    found.append(fired.long().tolist())
    return found[::-1]


def _rows(x: SpikeTensor, images: int) -> int:
    """Rows of each image in a batch; 0 if they can't be told apart."""
    if not images or not x.dim():
        return 0
    rows = x.shape[0] // images
    return 0 if x.shape[0] % images or rows % x.timesteps else rows


def _substeps(train: SpikeTensor, counts: torch.Tensor) -> list[torch.Tensor]:
    """0/1 spikes in each sub-step of each time step, from the counts of one
    image: SFA trains are consecutive."""
    steps = counts.unflatten(0, (train.timesteps, -1))
    return [(step >= d + 1).to(counts.dtype) for step in steps
            for d in range(train.max_spikes)]


def _counts(x: SpikeTensor, rows: int) -> torch.Tensor:
    """Spike counts of the first image."""
    if x.binary:
        return sum(part[:rows] for part in x.parts)
    return (x.parts[0][:rows] / x.scale).round()


def _linear(train: SpikeTensor, weight, rows: int) -> dict:
    if isinstance(weight, SpikeTensor):
        return {}
    features = weight.shape[1]
    steps = _substeps(train, _counts(train, rows))
    return dict(
        sampled=1,
        substep_sops=[round(s.sum().item()) * features for s in steps],
        touched=[
            int(s.any(-1).sum()) * features for s in steps
        ])


def _convolution(func, args, out, rows: int) -> dict:
    x, weight, _, *where, transposed, more, groups = args
    reach = fan_out(func, args, out)
    outputs = out.shape[1] // groups
    ones = weight.new_ones((groups, 1, *weight.shape[2:]))
    sops, touched = [], []
    for s in _substeps(x, _counts(x, rows)):
        spikes = s.double().sum((0, 1))
        sops.append(round((spikes * reach).sum().item()))
        inputs = s.unflatten(1, (groups, -1)).amax(2)
        hit = func(inputs, ones, None, *where, transposed, more, groups)
        touched.append(int((hit > 0.5).sum()) * outputs)
    return dict(sampled=1, substep_sops=sops, touched=touched)


def _product(left, right, rows: int) -> list[int]:
    """As in :func:`.synapses.synapse_cost`: each spike of the train selects a
    row of the other operand."""
    if isinstance(left, SpikeTensor):
        train, other, axis = left, right, -2
    else:
        train, other, axis = right, left, -1
    if isinstance(other, SpikeTensor):
        selected = (_counts(other, rows) != 0).double().sum(
            -1 if axis == -2 else -2)
    else:
        width = right.shape[-1] if axis == -2 else left.shape[-2]
        size = train.shape[-1] if axis == -2 else train.shape[-2]
        selected = torch.full((rows, size), float(width), dtype=torch.float64)
    steps = _substeps(train, _counts(train, rows))
    selected = selected.unflatten(0, (train.timesteps, -1))
    sops = []
    for i, s in enumerate(steps):
        per_row = s.double().sum(axis)
        chosen = selected[i // train.max_spikes].to(per_row.device)
        sops.append(round((per_row * chosen).sum().item()))
    return sops
