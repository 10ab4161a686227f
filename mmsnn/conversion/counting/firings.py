"""Which elements of neuron layers an op reads, from the places of spikes."""

import weakref
from dataclasses import dataclass
from math import prod

import torch

from mmsnn.conversion.spikes.spike_tensor import SpikeTensor
from mmsnn.trace import Reads
from mmsnn.trace.reads import runs


@dataclass(eq=False)
class _Firing:
    """One firing of a neuron layer: elements ``base`` to ``base + size - 1``.

    ``shape`` is that of all images: (rows of all, ...), where the time steps
    of a row follow each other.
    """

    key: tuple
    base: int
    shape: torch.Size
    timesteps: int
    levels: list[int]
    places: weakref.ref

    @property
    def size(self) -> int:
        return self.shape.numel()


class Firings:
    """Numbers what neuron layers fire, and finds out what an op reads of it.

    Whatever moves spikes moves their numbers along
    (:attr:`.SpikeTensor.places`).

    Args:
        images (int): Images of the run.

    Example:
        >>> firings = Firings(images=1)
        >>> spikes = SpikeTensor([torch.tensor([[0., 2., 1.]])], 1., 2, False)
        >>> firings.number('n', spikes, levels=[2, 1])
        >>> spikes.sources = ('n',)
        >>> firings.reads(spikes)  # all, as they are
        {}
        >>> part = spikes[:, 1:]
        >>> part.sources = ('n',)
        >>> firings.reads(part)['n'].lines  # elements 1 and 2
        [[[1, 1, 0]], [[1, 2, 1]]]
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self._firings: list[_Firing] = []
        self._next = 1

    def number(self, key: tuple, spikes: SpikeTensor,
               levels: list[int]) -> None:
        """Number the elements of a layer that has fired.

        Args:
            key (tuple): Of its record.
            spikes (SpikeTensor): What it has fired, (N * T, ...). Gets its
                ``places``.
            levels (list[int]): Spikes in each of T x D sub-steps.
        """
        part = spikes.parts[0]
        end = self._next + part.numel()
        places = torch.arange(self._next, end, device=part.device).view(
            part.shape)
        if not part.is_contiguous():  # moves may depend on strides
            places = torch.empty_like(part, dtype=torch.int64).copy_(places)
        spikes.places = places
        self._firings.append(
            _Firing(key, self._next, part.shape, spikes.timesteps,
                    list(levels), weakref.ref(places)))
        self._next = end

    def reads(self, train: SpikeTensor,
              reached: torch.Tensor | None = None) -> dict[tuple, Reads]:
        """What an op reads.

        Args:
            train (SpikeTensor): Its input.
            reached (Tensor, optional): Which elements of it reach an output,
                broadcastable to its shape. Defaults to None: all of them.

        Returns:
            dict[tuple, Reads]: Key of a layer's record -> what it reads.
            Layers that it reads as they are, all of which reaches an output,
            are left out; so are all where the places are not known.
        """
        if train.places is None:
            return {}
        found = {}
        for firing in self._firings:
            if firing.key not in train.sources or (
                    reached is None and firing.places() is train.places):
                continue
            number = train.places - firing.base
            there = (number >= 0) & (number < firing.size)
            reads = self._reads(firing, train, number, there, reached)
            if not reads.in_order:
                found[firing.key] = reads
        return found

    def _reads(self, firing: _Firing, train, number, there,
               reached) -> Reads:
        counts = train.counts()
        images = self._images(firing, number)
        hit = there if reached is None else there & reached
        numbers, fired = number[hit], counts[hit].long()
        # Of elements that stand in several places, one place is kept.
        place = torch.zeros(firing.size, dtype=torch.int64,
                            device=numbers.device)
        every = torch.arange(len(numbers), device=numbers.device)
        place[numbers] = every
        once = place[numbers] == every
        rows, most = firing.size // firing.shape[0], train.max_spikes
        steps = numbers[once] // rows % firing.timesteps
        histogram = torch.bincount(
            steps * (most + 1) + fired[once],
            minlength=firing.timesteps * (most + 1)).view(-1, most + 1)
        spikes = histogram.flip(1).cumsum(1).flip(1)[:, 1:]
        shape = [firing.shape[0] // images // firing.timesteps,
                 firing.timesteps, *firing.shape[1:]]
        anchor, lines = _lines(number, there, images, prod(shape))
        return Reads(
            shape,
            elements=round(int(once.sum()) / images),
            inputs=round(int(there.sum()) / images),
            spikes=spikes.flatten().tolist(),
            fired=firing.levels,
            arrived=round(counts[there].sum(dtype=torch.float64).item()),
            anchor=anchor,
            lines=lines)

    def _images(self, firing: _Firing, number) -> int:
        """Images whose rows can be told apart; 1 where they can not."""
        images = self.images
        alike = images > 0 and not (
            firing.shape[0] % (images * firing.timesteps)
            or number.shape[0] % images)
        return images if alike else 1


def _lines(number: torch.Tensor, there: torch.Tensor, images: int,
           size: int) -> tuple[int, list]:
    """``anchor`` and ``lines`` of :class:`Reads`.

    Args:
        number (Tensor): Number of the element at each input of the op.
        there (Tensor): Where there is one.
        images (int): Images in the first axis.
        size (int): Elements of one image.

    Returns:
        tuple[int, list]: 0 and no lines where elements are no sum of terms of
        each axis, or differ from image to image.
    """
    number = number.masked_fill(~there, -1).unflatten(0, (images, -1))
    there = there.unflatten(0, (images, -1))
    first, valid = number[0], there[0]
    for n in range(1, images):
        moved = (number[n] - n * size).masked_fill(~there[n], -1)
        if not torch.equal(moved, first):
            return 0, []
    if not valid.any():
        return 0, []
    index = torch.unravel_index(valid.flatten().to(torch.uint8).argmax(),
                                valid.shape)
    anchor = int(first[index])
    rebuilt = torch.zeros((), dtype=torch.int64, device=number.device)
    complete = torch.ones((), dtype=torch.bool, device=number.device)
    lines = []
    for axis in range(first.dim()):
        line = first[(*index[:axis], slice(None), *index[axis + 1:])]
        ends = (1, ) * (first.dim() - 1 - axis)
        rebuilt = rebuilt + (line - anchor).view(-1, *ends)
        complete = complete & (line >= 0).view(-1, *ends)
        lines.append(runs(line.tolist()))
    rebuilt = (rebuilt + anchor).masked_fill(~complete, -1)
    return (anchor, lines) if torch.equal(rebuilt, first) else (0, [])
