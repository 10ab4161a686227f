"""Which elements of a neuron layer an op reads."""

from dataclasses import dataclass, field, replace
from itertools import zip_longest
from math import prod


@dataclass
class Reads:
    """Which spikes of one neuron layer reach an op, where it does not read
    all of them in their own order: slices, crops, gathers, paddings, ...

    Elements of the layer are numbered along ``shape``. Where the spikes were
    moved so that the number of the element at an input of the op is a sum of
    terms, one for each axis of that input (slices, permutations, reshapes,
    repeats, concatenation along an axis), ``lines`` says all: the element at
    ``(i, j, ...)`` is ``lines[0][i] + lines[1][j] + ... - (axes - 1) *
    anchor``, and there is none where one of them is -1.

    Attributes:
        shape (list[int]): Of what the layer holds for one image: rows in a
            time step, time steps, then the other axes of its output.
        elements (int): Different elements of one image that are read and
            reach an output of the op.
        inputs (int): Inputs of the op, of one image, that they fill.
        spikes (list[int]): Spikes of these elements in each of the T x D
            sub-steps, each once however often it is read, in the run that
            was sampled.
        fired (list[int]): All spikes of the layer there.
        arrived (int): Spikes that arrive at the op's inputs there: one that
            is read twice counts twice.
        anchor (int): An element that is read.
        lines (list): For each axis of the op's input, of which the first has
            the rows of one image, the element at each index, with the other
            indices those of the anchor. It is written as runs ``[first,
            number, step]``, where a step of 0 repeats, and -1 is none. Empty
            where moves are no such sum, or differ from image to image.

    Example:
        The second half of four channels, padded by a position on the left.

        >>> reads = Reads([1, 1, 4, 3], elements=6, inputs=6, spikes=[2],
        ...               fired=[5], arrived=2, anchor=6,
        ...               lines=[runs([6]), runs([6, 9]), runs([-1, 6, 7, 8])])
        >>> reads.lines[2]
        [[-1, 1, 0], [6, 3, 1]]
        >>> reads.lengths
        (1, 2, 4)
        >>> reads.indices(2)
        [-1, 6, 7, 8]
    """

    shape: list[int]
    elements: int
    inputs: int
    spikes: list[int]
    fired: list[int]
    arrived: int
    anchor: int = 0
    lines: list[list[list[int]]] = field(default_factory=list)

    def indices(self, axis: int) -> list[int]:
        """The elements along an axis of the op's input.

        Args:
            axis (int): Number of the axis.

        Returns:
            list[int]: An element, or -1, for each index.
        """
        return [
            first + k * step for first, number, step in self.lines[axis]
            for k in range(number)
        ]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the axes of the op's input, for one image."""
        return tuple(sum(number for _, number, _ in line)
                     for line in self.lines)

    @property
    def whole(self) -> bool:
        """Whether all elements are read."""
        return self.elements == prod(self.shape)

    @property
    def in_order(self) -> bool:
        """Whether the op's input is what the layer holds, as it is."""
        rows = self.shape[0] * self.shape[1]
        expected = (rows, *self.shape[2:])
        if not self.whole or self.anchor or self.lengths != expected:
            return False
        strides = [prod(expected[a + 1:]) for a in range(len(expected))]
        return all(
            line == runs([i * stride for i in range(n)])
            for line, n, stride in zip(self.lines, expected, strides))

    def including(self, other: 'Reads') -> 'Reads':
        """The same op in another sampled run.

        Args:
            other (Reads): What it has read there.

        Returns:
            Reads: Spikes of both; no ``lines`` where they differ.
        """
        same = (self.shape, self.anchor, self.lines) == (
            other.shape, other.anchor, other.lines)
        return replace(
            self,
            spikes=_sums(self.spikes, other.spikes),
            fired=_sums(self.fired, other.fired),
            arrived=self.arrived + other.arrived,
            lines=self.lines if same else [])


def runs(numbers: list[int]) -> list[list[int]]:
    """Integers as runs ``[first, number, step]``.

    Args:
        numbers (list[int]): The integers.

    Returns:
        list[list[int]]: Runs that give them one after the other.

    Example:
        >>> runs([4, 6, 8, -1, -1, 3])
        [[4, 3, 2], [-1, 2, 0], [3, 1, 0]]
    """
    found: list[list[int]] = []
    for n in numbers:
        last = found[-1] if found else None
        none = last is not None and -1 in (n, last[0])
        if last is None or none and n != last[0]:
            found.append([n, 1, 0])
        elif last[1] == 1 and not none:
            found[-1] = [last[0], 2, n - last[0]]
        elif n == last[0] + last[1] * last[2]:
            last[1] += 1
        else:
            found.append([n, 1, 0])
    return found


def _sums(a: list[int], b: list[int]) -> list[int]:
    return [x + y for x, y in zip_longest(a, b, fillvalue=0)]
