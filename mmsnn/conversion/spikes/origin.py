"""Where spikes come from."""

from dataclasses import dataclass, field, replace

import torch


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
    #: Of moves that only view the same memory: the shape, strides and offset
    #: that these lead to, by those of what the neuron has fired.
    _views: dict[tuple, tuple] = field(
        default_factory=dict, init=False, repr=False, compare=False)

    def moved(self, move: tuple | None, whole: bool) -> 'Origin | None':
        """After another move.

        Args:
            move (tuple, optional): As in :attr:`moves`; None if it may differ
                between calls.
            whole (bool): Whether it leaves all spikes, each once.

        Returns:
            Origin | None: None if it can not be replayed.
        """
        if move is None:
            return None
        return Origin(self.neuron, (*self.moves, move), self.whole and whole)

    def unmerged(self) -> 'Origin':
        """Before a product has merged the leading axes of its operands.

        Returns:
            Origin: (N, heads, rows, n) instead of a copy of that shape
            (N * heads, rows, n); itself where it is no such copy.
        """
        last = self.moves[-3:]
        if [func for func, *_ in last] == _MERGING and (
                last[0][1][1][-2:] == last[2][1][1][-2:]):
            return replace(self, moves=self.moves[:-2])
        return self

    def replay(self, spikes: torch.Tensor) -> torch.Tensor:
        """Rearrange what the neuron has fired in another call.

        Args:
            spikes (Tensor): What it has fired there.

        Returns:
            Tensor: The same values after all moves.
        """
        key = spikes.shape, spikes.stride(), spikes.storage_offset()
        view = self._views.get(key)
        if view is not None:
            return spikes.as_strided(*view)
        found = self._run(spikes)
        if found.untyped_storage()._cdata == (
                spikes.untyped_storage()._cdata):  # all moves are views
            self._views[key] = (found.shape, found.stride(),
                                found.storage_offset())
        return found

    def _run(self, spikes: torch.Tensor) -> torch.Tensor:
        for func, args, kwargs, index in self.moves:
            args = [
                [spikes if y is HERE else y for y in x] if isinstance(
                    x, list) else spikes if x is HERE else x for x in args
            ]
            result = func(*args, **kwargs)
            spikes = result if index is None else result[index]
        return spikes


aten = torch.ops.aten

#: How ``torch.matmul`` merges axes that do not lie behind each other.
_MERGING = [aten.expand.default, aten.clone.default, aten._unsafe_view.default]

#: Stands for the spikes in the arguments of a move.
HERE = object()
