"""Where spikes come from."""

from dataclasses import dataclass

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

    def replay(self, spikes: torch.Tensor) -> torch.Tensor:
        """Rearrange what the neuron has fired in another call.

        Args:
            spikes (Tensor): What it has fired there.

        Returns:
            Tensor: The same values after all moves.
        """
        for func, args, kwargs, index in self.moves:
            args = [
                [spikes if y is HERE else y for y in x] if isinstance(
                    x, list) else spikes if x is HERE else x for x in args
            ]
            result = func(*args, **kwargs)
            spikes = result if index is None else result[index]
        return spikes


#: Stands for the spikes in the arguments of a move.
HERE = object()
