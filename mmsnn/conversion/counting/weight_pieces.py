"""Where weights lie: which memory the weights of a synapse are read from."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from mmsnn.conversion.spikes.spike_tensor import SpikeTensor

from .synapses import distinct
from .tensor_sources import held_tensors, memory_of, tensors

#: Parameter (or what has made the weights), first and last element between
#: which they lie (``first <= i < end``), and how many of these they are.
Piece = list[str | int]


class WeightPieces:
    """Knows for each tensor of weights which memory it stands for.

    Two synapses use the same weights if these lie in the same memory: one
    module that is called twice, or one parameter of two modules. A copy (a
    repeat, a concatenation) stands for what it was copied from. Weights that
    are computed from parameters (standardised, masked) are named by the op
    that has made them, so that those of each call of a module are the same.

    Args:
        model (nn.Module): Holds the parameters.

    Example:
        >>> fc = nn.Linear(2, 3)
        >>> pieces = WeightPieces(fc)
        >>> pieces.of(fc.weight.t()), pieces.of(fc.weight[1:])
        ([['weight', 0, 6, 6]], [['weight', 2, 6, 4]])
        >>> pieces.computed(scaled := fc.weight * 2, 'fc:mul')
        >>> pieces.copied(both := torch.cat([scaled, fc.weight]), 'fc:cat',
        ...               [scaled, fc.weight])
        >>> pieces.of(both)
        [['fc:mul', 0, 6, 6], ['weight', 0, 6, 6]]
    """

    def __init__(self, model: nn.Module) -> None:
        self._names: dict[StorageWeakRef, str] = {}
        # Of a copy: its number of elements, and what it is a copy of.
        self._copies: dict[StorageWeakRef, tuple[int, list[Piece]]] = {}
        for name, x in held_tensors(model):
            self._names.setdefault(memory_of(x), name)

    def computed(self, results, name: str) -> None:
        """Note what an op has computed from parameters alone.

        Args:
            results: Tensors, in nested lists, tuples and dicts.
            name (str): The op, by module and number.
        """
        for x in tensors(results):
            if not isinstance(x, SpikeTensor):
                self._names.setdefault(memory_of(x), name)

    def copied(self, results, name: str,
               inputs: Iterable[torch.Tensor]) -> None:
        """Note what an op that costs nothing has made of parameters.

        Args:
            results: Tensors, in nested lists, tuples and dicts. Views of what
                is known already are none.
            name (str): The op, in case that it has no inputs.
            inputs (Iterable[Tensor]): What it has read.
        """
        found: list[Piece] = []
        for x in inputs:
            found += [p for p in self.of(x) if p not in found]
        for x in tensors(results):
            memory = memory_of(x)
            if memory in self._names or memory in self._copies:
                continue
            if found:
                self._copies[memory] = (x.numel(), found)
            else:
                self._names[memory] = name

    def of(self, x: torch.Tensor) -> list[Piece]:
        """Pieces of memory that a tensor stands for.

        Args:
            x (Tensor): Weights, or a part of them.

        Returns:
            list: ``[name, first, end, number]`` for each piece; empty if
            nothing seen has made it.
        """
        if isinstance(x, SpikeTensor) or x.device.type == 'meta':
            return []
        memory = memory_of(x)
        first = x.storage_offset()
        end = first + sum(
            (n - 1) * step for n, step in zip(x.shape, x.stride())) + 1
        place = [first, end, distinct(x)]
        if memory in self._copies:
            number, pieces = self._copies[memory]
            if place[2] == number:
                return pieces
            name = ', '.join(str(p[0]) for p in pieces)
            return [[f'part of {name}', *place]]
        name = self._names.get(memory)
        return [] if name is None or not x.numel() else [[name, *place]]
