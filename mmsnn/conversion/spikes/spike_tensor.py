"""Spikes as a tensor type: ops on spikes are seen, and done with spikes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import frexp

import torch
from torch.utils._pytree import tree_flatten, tree_map

from mmsnn.neurons import spikes_per_position

aten = torch.ops.aten


@dataclass(frozen=True)
class Origin:
    """Which neuron has fired spikes, and how they were rearranged since.

    Attributes:
        neuron (int): Number of the firing within the model's call.
        moves (tuple): (op, args, kwargs, index of the result), with
            :data:`HERE` in the place of the spikes.
        whole (bool): Whether all spikes are still there, each once.
    """

    neuron: int
    moves: tuple = ()
    whole: bool = True

    def replay(self, spikes: torch.Tensor) -> torch.Tensor:
        """Rearrange what the neuron has fired in another call.

        Args:
            spikes (Tensor): What it has fired there.

        Returns:
            Tensor: The same values after all moves.
        """
        for func, args, kwargs, index in self.moves:
            args = [
                spikes if x is HERE else
                [spikes] if isinstance(x, list) and HERE in x else x
                for x in args
            ]
            result = func(*args, **kwargs)
            spikes = result if index is None else result[index]
        return spikes


#: Stands for the spikes in the arguments of a move.
HERE = object()


class SpikeTensor(torch.Tensor):
    """What a neuron emits, in one of two forms.

    - *trains*: D binary tensors, one per sub-step. A synapse runs once per
      sub-step, on {0, 1}, and its results are added up.
    - *counts*: one tensor of spike counts times the scale, on which a synapse
      runs once. Same sums, not expanded: for counting over large sets.

    To PyTorch it looks like one tensor of the dense shape. Reshaping and
    indexing keep it spikes; convolutions, linears and matrix products turn
    it into membrane potentials; every other op first decodes it.

    Args:
        parts (Sequence[Tensor]): The D binary tensors, or the one tensor of
            scaled counts.
        scale (float): Factor of one spike.
        max_spikes (int): D.
        binary (bool): Whether ``parts`` are trains.
        spikes (int, optional): Number of spikes in it, where known.
        origin (Origin, optional): Where it comes from, where known.
        timesteps (int): T of the neuron, folded into the first dimension.
            Defaults to 1.
        places (Tensor, optional): Of the same shape, int64: a number for
            each element that says where it comes from, such as which neuron
            fired it; 0 where nothing can fire, as in padding. Whatever moves
            spikes moves it along.

    Example:
        >>> trains = [torch.tensor([1., 1.]), torch.tensor([0., 1.])]
        >>> spikes = SpikeTensor(trains, scale=0.5, max_spikes=2, binary=True)
        >>> spikes.counts(), spikes.decode(), spikes.spikes
        (tensor([1., 2.]), tensor([0.5000, 1.0000]), 3)
    """

    @staticmethod
    def __new__(cls,
                parts,
                scale,
                max_spikes,
                binary,
                spikes=None,
                origin=None,
                timesteps=1,
                places=None):
        """Make a tensor that has a shape, but only its parts hold values."""
        first = parts[0]
        self = torch.Tensor._make_wrapper_subclass(
            cls,
            first.shape,
            strides=first.stride(),
            storage_offset=first.storage_offset(),
            dtype=first.dtype,
            device=first.device)
        self.parts = tuple(parts)
        self.sources = ()
        self.scale = scale
        self.max_spikes = max_spikes
        self.binary = binary
        self.origin = origin
        self.timesteps = timesteps
        self.places = places
        self._spikes = spikes
        self._position_spikes = None
        return self

    def __repr__(self):
        form = 'trains' if self.binary else 'counts'
        return (f'SpikeTensor({form}, shape={tuple(self.shape)}, '
                f'max_spikes={self.max_spikes}, scale={self.scale:g})')

    @property
    def unit(self) -> float:
        """Factor by which ``parts`` are multiplied to get values."""
        return self.scale if self.binary else 1.0

    @property
    def spikes(self) -> int:
        """Number of spikes, summed over the sub-steps."""
        if self._spikes is None:
            parts, unit = self._multiples()
            total = sum(p.sum(dtype=torch.float64) for p in parts)
            self._spikes = round(total.item() / unit)
        return self._spikes

    def counts(self) -> torch.Tensor:
        """Spike counts, integers 0..D, as a plain tensor."""
        if self.binary:
            return sum(self.parts)
        if self.scale == 1:
            return self.parts[0]
        return (self.parts[0] / self.scale).round()

    def decode(self) -> torch.Tensor:
        """Values, counts times scale, as a plain tensor."""
        if self.binary:
            return sum(self.parts) * self.scale
        return self.parts[0]

    def _multiples(self) -> tuple[Sequence[torch.Tensor], float]:
        """Tensors that hold exact multiples of a number, and that number.

        Sums of them are exact. Counts times 1/3 are no exact multiples.
        """
        if self.binary:
            return self.parts, 1.0
        if frexp(self.scale)[0] == 0.5:
            return self.parts, self.scale
        return (self.counts(), ), 1.0

    def position_spikes(self) -> torch.Tensor:
        """Number of spikes at each position of (N, C, *positions).

        It is computed once, since several synapses may ask.

        Returns:
            Tensor: Summed over N and C, float64.
        """
        if self._position_spikes is None:
            most = 1 if self.binary else self.max_spikes
            self._position_spikes = sum(
                spikes_per_position(p, most, self.scale / self.unit)
                for p in self.parts)
        return self._position_spikes

    def like(self,
             parts: Sequence[torch.Tensor],
             move: tuple | None,
             permuted: bool,
             places: torch.Tensor | None = None) -> 'SpikeTensor':
        """Spikes of the same neuron in another arrangement.

        Args:
            parts (Sequence[Tensor]): The rearranged parts.
            move (tuple, optional): How they were rearranged, see
                :class:`Origin`; None if that differs between calls.
            permuted (bool): Whether the op never copies an element.
            places (Tensor, optional): The rearranged :attr:`places`.

        Returns:
            SpikeTensor: The rearranged spikes.
        """
        same = permuted and parts[0].numel() == self.parts[0].numel()
        origin = None
        if self.origin is not None and move is not None:
            origin = Origin(self.origin.neuron, (*self.origin.moves, move),
                            self.origin.whole and same)
        return SpikeTensor(parts, self.scale, self.max_spikes, self.binary,
                           self._spikes if same else None, origin,
                           self.timesteps, places)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if packet in SYNAPSES:
            return SYNAPSES[packet](func, *args, **kwargs)
        if is_rearrangement(func, args, kwargs):
            return _rearrange(func, args, kwargs)
        if func._schema.is_mutable:
            raise TypeError(f'{func} would change spikes in place')
        args, kwargs = tree_map(decode, (tuple(args), kwargs))
        return func(*args, **kwargs)


def decode(x):
    """Plain values of spikes.

    Args:
        x: A :class:`SpikeTensor`, or anything else.

    Returns:
        Tensor: Counts times the scale; anything else as it is.

    Example:
        >>> decode(SpikeTensor([torch.ones(2), torch.zeros(2)], 0.5, 2, True))
        tensor([0.5000, 0.5000])
    """
    return x.decode() if isinstance(x, SpikeTensor) else x


#: Ops that only move elements; views are recognised by themselves.
_MOVES = {
    aten.clone, aten._to_copy, aten._unsafe_view, aten.cat, aten.stack,
    aten.index, aten.index_select, aten.gather, aten.repeat, aten.flip,
    aten.roll, aten.upsample_nearest1d, aten.upsample_nearest2d,
    aten.upsample_nearest3d, aten._upsample_nearest_exact1d,
    aten._upsample_nearest_exact2d, aten._upsample_nearest_exact3d,
    aten.pixel_shuffle, aten._reshape_alias, aten.constant_pad_nd,
    aten.lift_fresh
}

#: Of those and of the views: no element twice, if none is left out.
_PERMUTATIONS = {
    aten.clone, aten._to_copy, aten._unsafe_view, aten._reshape_alias,
    aten.view, aten.transpose, aten.permute, aten.t, aten.expand,
    aten.squeeze, aten.unsqueeze, aten.slice, aten.select, aten.detach,
    aten.alias, aten.flip, aten.roll, aten.pixel_shuffle, aten.lift_fresh
}


def is_rearrangement(func, args, kwargs) -> bool:
    """Whether an op only moves spikes, so that its result is spikes.

    Args:
        func (OpOverload): The aten op.
        args (tuple): Its arguments.
        kwargs (dict): Its keyword arguments.
    """
    packet = func.overloadpacket
    if packet is aten.constant_pad_nd:
        return (list(args) + [0, 0])[2] == 0
    if packet is aten._to_copy:
        dtype = kwargs.get('dtype')
        return dtype is None or dtype.is_floating_point
    if packet in (aten.cat, aten.stack):
        kinds = {(x.scale, x.max_spikes, x.binary) if isinstance(
            x, SpikeTensor) else None
                 for x in args[0]}
        return len(kinds) == 1 and None not in kinds
    return packet in _MOVES or (func.is_view and not func._schema.is_mutable)


def _rearrange(func, args, kwargs):
    leaves = tree_flatten((args, kwargs))[0]
    tensors = sum(isinstance(x, torch.Tensor) for x in leaves)
    spikes = next(x for x in leaves if isinstance(x, SpikeTensor))
    permuted = func.overloadpacket in _PERMUTATIONS
    results = []
    for i in range(len(spikes.parts)):
        args_, kwargs_ = tree_map(
            lambda x: x.parts[i] if isinstance(x, SpikeTensor) else x,
            (tuple(args), kwargs))
        results.append(func(*args_, **kwargs_))
    places = _places(func, args, kwargs, leaves)

    def move(index):
        # Another tensor in the arguments may be other indices next time.
        if tensors > 1:
            return None
        args_, kwargs_ = tree_map(lambda x: HERE if x is spikes else x,
                                  (tuple(args), kwargs))
        return func, args_, kwargs_, index

    if isinstance(results[0], (list, tuple)):
        return [
            spikes.like(parts, move(i), permuted, places and places[i])
            for i, parts in enumerate(zip(*results))
        ]
    return spikes.like(results, move(None), permuted, places)


def _places(func, args, kwargs, leaves):
    """Places after a move: moved in the same way, as float64, which is exact
    below 2**53, since not every op moves integers."""
    if any(x.places is None for x in leaves if isinstance(x, SpikeTensor)):
        return None
    args, kwargs = tree_map(
        lambda x: x.places.double() if isinstance(x, SpikeTensor) else x,
        (tuple(args), {k: v for k, v in kwargs.items() if k != 'dtype'}))
    return tree_map(lambda x: x.long(), func(*args, **kwargs))


def _convolution(func, x, weight, bias, *args):
    if not isinstance(x, SpikeTensor):
        raise TypeError('a convolution whose weights are spikes')
    weight = weight if x.unit == 1 else weight * x.unit
    # The bias enters once per time step, not once per sub-step.
    out = func(x.parts[0], weight, bias, *args)
    for part in x.parts[1:]:
        out += func(part, weight, None, *args)
    return out


def _addmm(func, bias, x, weight, *, beta=1, alpha=1):
    return _mm(aten.mm.default, x, weight) * alpha + decode(bias) * beta


def _mm(func, left, right):
    """Product of which at least one operand is spikes. It is added up train
    by train; the other operand holds weights, or integers of an
    accumulator."""
    train, other = (left, right) if isinstance(left, SpikeTensor) else (right,
                                                                         left)
    other = decode(other)
    other = other if train.unit == 1 else other * train.unit
    out = None
    for part in train.parts:
        step = func(part, other) if train is left else func(other, part)
        out = step if out is None else out.add_(step)
    return out


#: Ops that turn spikes into membrane potentials.
SYNAPSES: dict[object, Callable] = {
    aten.convolution: _convolution,
    aten.addmm: _addmm,
    aten.mm: _mm,
    aten.bmm: _mm,
}
