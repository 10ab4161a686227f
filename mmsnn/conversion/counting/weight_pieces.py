"""Where weights lie: which memory the weights of a synapse are read from."""

import hashlib
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_flatten

from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.conversion.upstream.nested import tensors

from .synapses import distinct
from .tensor_sources import held_tensors, memory_of

#: Parameter (or what has made the weights), first and last element between
#: which they lie (``first <= i < end``), and how many of these they are.
Piece = list[str | int]


class WeightPieces:
    """Knows for each tensor of weights which memory it stands for.

    Two synapses use the same weights if these lie in the same memory: one
    module that is called twice, or one parameter of two modules. A copy (a
    repeat, a concatenation) stands for what it was copied from. Weights that
    are computed from parameters (standardised, masked) are named by what they
    are computed from, and how: so those of each call of a module are the same.

    Args:
        model (nn.Module): Holds the parameters.

    Example:
        >>> fc = nn.Linear(2, 3)
        >>> pieces = WeightPieces(fc)
        >>> pieces.of(fc.weight.t()), pieces.of(fc.weight[1:])
        ([['weight', 0, 6, 6]], [['weight', 2, 6, 4]])
        >>> pieces.computed(scaled := fc.weight * 2, 'mul', [fc.weight, 2])
        >>> pieces.copied(both := torch.cat([scaled, fc.weight]), 'cat',
        ...               [scaled, fc.weight])
        >>> pieces.of(both)
        [['mul of weight (...)', 0, 6, 6], ['weight', 0, 6, 6]]
    """

    def __init__(self, model: nn.Module) -> None:
        self._names: dict[StorageWeakRef, str] = {}
        # Name of what is computed -> the parameters that it comes from.
        self._roots: dict[str, dict[str, None]] = {}
        # Of a copy: its number of elements, and what it is a copy of.
        self._copies: dict[StorageWeakRef, tuple[int, list[Piece]]] = {}
        for name, x in held_tensors(model):
            self._names.setdefault(memory_of(x), name)

    def computed(self, results: Any, op: str, arguments: Any) -> None:
        """Note what an op has computed from parameters alone.

        Args:
            results: Tensors, in nested lists, tuples and dicts.
            op (str): Its name.
            arguments: What it has been given, nested.
        """
        name = None
        for x in tensors(results):
            if not isinstance(x, SpikeTensor):
                name = name or self._structure(op, arguments)
                self._names.setdefault(memory_of(x), name)

    def copied(self, results: Any, op: str, arguments: Any) -> None:
        """Note what an op that costs nothing has made of parameters.

        Args:
            results: Tensors, in nested lists, tuples and dicts. Views of what
                is known already are none.
            op (str): Its name.
            arguments: What it has been given, nested.
        """
        for x in tensors(results):
            memory = memory_of(x)
            if memory in self._names or memory in self._copies:
                continue
            found: list[Piece] = []
            for y in tensors(arguments):
                found += [p for p in self.of(y) if p not in found]
            if found:
                self._copies[memory] = (x.numel(), found)
            else:
                self.computed(x, op, arguments)

    def _structure(self, op: str, arguments: Any) -> str:
        """What stands for the results of equal ops on equal weights."""
        roots: dict[str, None] = {}
        parts = [op]
        for x in tree_flatten(arguments)[0]:
            if isinstance(x, torch.Tensor):
                found = self.of(x)
                for name, *_ in found:
                    roots.update(self._roots.get(name, {name: None}))
                x = found or tuple(x.shape)
            parts.append(repr(x))
        digest = hashlib.sha256('|'.join(parts).encode()).hexdigest()[:8]
        name = f'{op} of {", ".join(roots) or "constants"} ({digest})'
        self._roots[name] = roots
        return name

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
