"""Which neurons of a population stand where in the input of a synapse.

A trace says which element of a layer is at each input of an op
(:class:`~mmsnn.trace.Reads`). Here that becomes what a projection says: for
each axis of the op an axis of the population and the indices that lie along
it, where there are such.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from mmsnn.trace import Reads

from .projections import Geometry

#: Number of the axis of time steps in the elements of a layer.
_TIME = 1

#: For each place along an axis of the op's input: an index of one axis of a
#: layer, and whether there is an element at all.
_Along = tuple[int | None, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Wiring:
    """What a projection reads of its source.

    Attributes:
        geometry (Geometry | None): As of a projection.
        picks (tuple): As of a projection.
        source_axes (tuple[int]): As of a projection.
        source_offset (int): As of a projection.
        scattered (bool): As of a projection.
    """

    geometry: Geometry | None
    picks: tuple[tuple[int, ...] | None, ...] = ()
    source_axes: tuple[int, ...] = ()
    source_offset: int = 0
    scattered: bool = False


class Layout:
    """Elements of a layer along the axes of an op's input.

    Args:
        reads (Reads): Which elements the op reads.

    Attributes:
        along (list): For each axis of the op's input the axes of the layer
            whose indices differ along it.
    """

    def __init__(self, reads: Reads) -> None:
        self.shape = tuple(reads.shape)
        self.regular = bool(reads.lines)
        self.lines = [np.array(reads.indices(axis))
                      for axis in range(len(reads.lines))]
        self.anchor = reads.anchor
        self.valid = [line >= 0 for line in self.lines]
        self.start = np.unravel_index(reads.anchor, self.shape)
        self._index = [
            np.unravel_index(np.where(valid, line, reads.anchor), self.shape)
            for line, valid in zip(self.lines, self.valid)
        ]
        self.along = [[
            d for d in range(len(self.shape))
            if (index[d] != self.start[d]).any()
        ] for index in self._index]
        every = [d for axes in self.along for d in axes]
        #: Whether each axis of the layer lies along one of the op's at most.
        self.separable = self.regular and len(every) == len(set(every))

    def factors(self, axis: int) -> list[_Along] | None:
        """Cut an axis of the op's input so that along each part only one axis
        of the layer does: tokens into rows and columns.

        Args:
            axis (int): Of the op's input.

        Returns:
            list | None: Its parts, the slowest first; None if there are none.
        """
        index = {d: self._index[axis][d] for d in self.along[axis]}
        return _factors(index, self.valid[axis])

    def read(self) -> list[np.ndarray] | None:
        """The indices that are read along each axis of the layer.

        Returns:
            list[ndarray] | None: None if these are not read in all
            combinations.
        """
        if not self.regular:
            return None
        number, valid = np.zeros((), int), np.ones((), bool)
        for line, there in zip(self.lines, self.valid):
            number = np.add.outer(number, line - self.anchor)
            valid = np.logical_and.outer(valid, there)
        number = np.unique(number[valid] + self.anchor)
        found = [np.unique(i) for i in np.unravel_index(number, self.shape)]
        return found if prod(map(len, found)) == len(number) else None


def _factors(index: dict[int, np.ndarray],
             valid: np.ndarray) -> list[_Along] | None:
    """See :meth:`Layout.factors`."""
    if len(index) < 2:
        d = next(iter(index), None)
        along = np.zeros(len(valid), int) if d is None else index[d]
        return [(d, along, valid)]
    for inner in _divisors(len(valid)):
        grid = valid.reshape(-1, inner)
        slow, fast = grid.any(1), grid.any(0)
        if not (grid == np.logical_and.outer(slow, fast)).all():
            continue
        rows = {d: i.reshape(-1, inner)[np.ix_(slow, fast)]
                for d, i in index.items()}
        for d in index:
            others = {o: i for o, i in rows.items() if o != d}
            if (rows[d] == rows[d][:, :1]).all() and all(
                    (i == i[:1]).all() for i in others.values()):
                rest = _factors({o: _spread(i[0], fast)
                                 for o, i in others.items()}, fast)
                if rest:
                    return [(d, _spread(rows[d][:, 0], slow), slow), *rest]
    return None


def _spread(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Values where there are some, 0 elsewhere."""
    found = np.zeros(len(valid), int)
    found[valid] = values
    return found


def _divisors(number: int) -> list[int]:
    return [n for n in range(2, number) if number % n == 0]


def wire(reads: Reads, geometry: Geometry | None,
         axes: Sequence[int | None], shape: tuple[int, ...],
         tokens: bool) -> Wiring:
    """Find what a projection reads of its source.

    Args:
        reads (Reads): What its op reads.
        geometry (Geometry | None): Of the op, as if it read all in order.
        axes (Sequence[int | None]): For each axis of the source population
            the axis of the layer's output, 0 for the rows; see
            :meth:`.shapes.Shapes.axes`.
        shape (tuple[int]): Shape of the source population.
        tokens (bool): Whether it is a linear layer, whose input has rows in
            front of features.

    Returns:
        Wiring: ``scattered`` where the neurons that are read are not given by
        indices along the axes of the source.

    Example:
        A linear layer on the second half of four channels of 2 x 3 tokens.

        >>> from mmsnn.trace.reads import runs
        >>> reads = Reads([1, 1, 4, 2, 3], 12, 12, [1], [2], 1, anchor=12,
        ...               lines=[runs([12, 13, 14, 15, 16, 17]),
        ...                      runs([12, 18])])
        >>> wire(reads, Geometry.linear(2, 5, 6), (1, 2, 3), (4, 2, 3), True)
        Wiring(geometry=Geometry(in_shape=(2, 2, 3), out_shape=(5, 2, 3), ...
    """
    layout = Layout(reads)
    # Axis of the layer's elements -> axis of the population.
    place = {(a + 1 if a else 0): p for p, a in enumerate(axes)
             if a is not None}
    lost = Wiring(geometry, scattered=True)
    if geometry is None or not geometry.kernel:
        return _all_to_all(layout, reads, geometry, place, shape) or lost
    found = _bound(layout, geometry, tokens)
    if found is None:
        return lost
    geometry, bound = found
    if any(d is not None and d not in place for d, _, _ in bound):
        return lost
    return _placed(layout, geometry, bound, place, shape)


def _all_to_all(layout: Layout, reads: Reads, geometry: Geometry | None,
                place: dict[int, int],
                shape: tuple[int, ...]) -> Wiring | None:
    """Of an op all of whose outputs read all that it reads."""
    if reads.whole:
        return Wiring(geometry)
    read = layout.read()
    if read is None or any(
            len(read[d]) < layout.shape[d] for d in range(len(read))
            if d not in place and d != _TIME):
        return None
    picks: list = [None] * len(shape)
    for d, p in place.items():
        picks[p] = _pick(read[d], layout.shape[d], shape[p])
        if picks[p] == ():
            return None
    return Wiring(geometry, _or_nothing(picks))


def _bound(layout: Layout, geometry: Geometry, tokens: bool
           ) -> tuple[Geometry, list[_Along]] | None:
    """For each axis of a geometry, what lies along it. The geometry of a
    linear layer gets the axes of positions that its tokens come from."""
    if not layout.separable:
        return None
    others = [layout.factors(axis) for axis in range(1, len(layout.lines))]
    rows = layout.factors(0)
    if rows is None or any(f is None or len(f) > 1 for f in others):
        return None
    rows = [f for f in rows if f[0] != _TIME]
    inner = [f[0] for f in others]
    if tokens:
        lengths = tuple(len(along) for _, along, _ in rows)
        if not rows or prod(lengths) != prod(geometry.in_shape[1:]):
            return None
        ones = (1, ) * len(lengths)
        geometry = Geometry((geometry.in_shape[0], *lengths),
                            (geometry.out_shape[0], *lengths), ones, ones,
                            (0, ) * len(lengths), ones)
        return geometry, [inner[0], *rows]
    rows = [f for f in rows if f[0] is not None or len(f[1]) > 1]
    bound = [inner[0], *rows, *inner[1:]]
    fits = len(bound) == len(geometry.in_shape) and len(rows) < 2
    return (geometry, bound) if fits else None


def _placed(layout: Layout, geometry: Geometry, bound: list[_Along],
            place: dict[int, int], shape: tuple[int, ...]) -> Wiring:
    """Name the axis of the population along each axis of a geometry."""
    unused = [p for p in range(len(shape))
              if p not in [place.get(d) for d, _, _ in bound]]
    layer_axis = {p: d for d, p in place.items()}
    more = len(shape)  # axes of length 1 that a population may have
    picks: list = []
    order = []
    for (d, along, valid), length in zip(bound, geometry.in_shape):
        if d is None:
            p = unused.pop(0) if unused else more
            more += p == more
            at = layout.start[layer_axis[p]] if p in layer_axis else 0
            along, whole = np.full(len(along), at), 1
        else:
            p, whole = place[d], layout.shape[d]
        size = shape[p] if p < len(shape) else 1
        order.append(p)
        picks.append(_pick(np.where(valid, along, -1), whole, size))
    for p in unused:
        at = layout.start[layer_axis[p]] if p in layer_axis else 0
        order.append(p)
        picks.append(None if shape[p] == 1 else (int(at), ))
        geometry = replace(
            geometry, in_shape=(*geometry.in_shape, 1),
            out_shape=(*geometry.out_shape, 1),
            kernel=(*geometry.kernel, 1), stride=(*geometry.stride, 1),
            padding=(*geometry.padding, 0), dilation=(*geometry.dilation, 1))
    if () in picks or any(
            p is not None and len(p) != n
            for p, n in zip(picks, geometry.in_shape)):
        return Wiring(geometry, scattered=True)
    offset = _offset(picks[0], shape[order[0]] if order[0] < len(shape) else 1)
    if offset is not None:
        picks[0] = None
    straight = order == list(range(len(order)))
    return Wiring(geometry, _or_nothing(picks),
                  () if straight else tuple(order), offset or 0)


def _pick(index: np.ndarray, whole: int,
          length: int) -> tuple[int, ...] | None:
    """Indices along an axis: None if it is all in order, and ``()`` if they
    are of an axis that has another length than that of the population (a
    number of regions of interest that differs between images)."""
    if len(index) == whole and (index == np.arange(whole)).all():
        return None
    return tuple(int(i) for i in index) if whole == length or (
        whole == 1 and index.max(initial=0) < length) else ()


def _offset(picks: tuple[int, ...] | None, channels: int) -> int | None:
    """Where all channels of a source stand among others of a concatenation;
    None if they do not."""
    if not picks or channels > len(picks):
        return None
    first = next((i for i, p in enumerate(picks) if p >= 0), 0)
    expected = (-1, ) * first + tuple(range(channels))
    expected += (-1, ) * (len(picks) - len(expected))
    return first if picks == expected else None


def _or_nothing(picks: list) -> tuple:
    return tuple(picks) if any(p is not None for p in picks) else ()
