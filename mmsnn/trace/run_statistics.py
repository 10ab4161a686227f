"""How much amounts differ between images."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from .record import SYNAPSES, OpRecord

#: Amounts of a run of the model of which variances and covariances are kept.
AMOUNTS = ('sops', 'synapse_macs', 'real_macs', 'adds', 'comparisons',
           'other', 'updates', 'spikes')


def total_amounts(records: Iterable[OpRecord]) -> dict[str, int]:
    """Amounts of records, summed.

    Args:
        records (Iterable[OpRecord]): Of a run of the model.

    Returns:
        dict[str, int]: Each of :data:`AMOUNTS`.

    Example:
        >>> stem = OpRecord('stem', 'conv', 'convolution', macs=8, adds=2)
        >>> {k: v for k, v in total_amounts([stem]).items() if v}
        {'synapse_macs': 8, 'adds': 2}
    """
    total = dict.fromkeys(AMOUNTS, 0)
    for r in records:
        synapse = r.kind in SYNAPSES
        total['synapse_macs' if synapse else 'real_macs'] += r.macs
        total['updates'] += r.neurons * r.max_spikes
        total['spikes'] += r.emitted
        for name in ('sops', 'adds', 'comparisons', 'other'):
            total[name] += getattr(r, name)
    return total


@dataclass
class RunStatistics:
    """Sums over runs of the model, from which variances follow.

    Runs may hold several images; those are taken to be independent of each
    other, so that a run of n images varies n times as much as one image. Sums
    are exact, so that their order does not matter.

    Attributes:
        runs (int): Runs of the model.
        images (int): Images in all of them.
        sums (list[int]): Of each of :data:`AMOUNTS`.
        squares (list[list[Fraction]]): Products of each two, over the number
            of images of the run.

    Example:
        >>> statistics = RunStatistics()
        >>> for sops in (10, 14):
        ...     statistics.add(dict(dict.fromkeys(AMOUNTS, 0), sops=sops), 1)
        >>> statistics.mean(dict(sops=2.0)), statistics.std(dict(sops=2.0))
        (24.0, 5.656...)
    """

    runs: int = 0
    images: int = 0
    sums: list[int] = field(default_factory=lambda: [0] * len(AMOUNTS))
    squares: list[list[Fraction]] = field(
        default_factory=lambda: [[0] * len(AMOUNTS) for _ in AMOUNTS])

    def add(self, totals: Mapping[str, int], images: int) -> None:
        """Add a run.

        Args:
            totals (Mapping[str, int]): Its :data:`AMOUNTS`.
            images (int): Its number of images.
        """
        if images < 1:
            return
        values = [totals[name] for name in AMOUNTS]
        self.runs += 1
        self.images += images
        for i, a in enumerate(values):
            self.sums[i] += a
            for j, b in enumerate(values[:i + 1]):
                if a and b:
                    square = self.squares[i][j] + Fraction(a * b, images)
                    self.squares[i][j] = self.squares[j][i] = square

    def include(self, other: 'RunStatistics') -> None:
        """Add more runs.

        Args:
            other (RunStatistics): Of these runs.
        """
        self.runs += other.runs
        self.images += other.images
        self.sums = [a + b for a, b in zip(self.sums, other.sums)]
        self.squares = [[a + b for a, b in zip(x, y)]
                        for x, y in zip(self.squares, other.squares)]

    def mean(self, weights: Mapping[str, float]) -> float:
        """Mean per image of a weighted sum of amounts.

        Args:
            weights (Mapping[str, float]): Factor of each amount, e.g. its
                energy in pJ.
        """
        return sum(w * self.sums[AMOUNTS.index(name)]
                   for name, w in weights.items()) / self.images

    def std(self, weights: Mapping[str, float]) -> float | None:
        """Standard deviation of a weighted sum of amounts between images.

        Args:
            weights (Mapping[str, float]): As for :meth:`mean`.

        Returns:
            float | None: None for a single run.
        """
        if self.runs < 2:
            return None
        chosen = [(AMOUNTS.index(name), w) for name, w in weights.items()]
        square = sum(v * w * self.squares[i][j]
                     for i, v in chosen for j, w in chosen)
        total = sum(w * self.sums[i] for i, w in chosen)
        return max(0.0, (square - total**2 / self.images) /
                   (self.runs - 1))**0.5
