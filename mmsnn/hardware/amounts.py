"""Numbers that may be ranges, their arithmetic, and spreads over images."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scipy import stats

#: Picojoules in a millijoule: figures of chips are in pJ, energies in mJ.
PJ_PER_MJ = 1e9

#: Names of the ends of a range.
ENDS = ('low', 'high')


@dataclass(frozen=True)
class Range:
    """A number that is only known to lie between two others.

    Chip specs have ranges where sources disagree; what is computed from them
    is a range too. It has the unit of its ends, such as pJ, mJ or ms.

    Attributes:
        low (float): The smallest value that the number can have.
        high (float): The largest; equal to ``low`` if the number is known.

    Example:
        >>> str(Range(1., 2.5)), str(Range(2., 2.))
        ('1 to 2.5', '2')
        >>> Range(1., 2.).plus(Range(0., 1.)), Range(1., 2.).times(10)
        (Range(low=1.0, high=3.0), Range(low=10.0, high=20.0))
        >>> f'{Range(1., 2.52):.2g} mJ'
        '1 to 2.5 mJ'
    """

    low: float
    high: float

    def __str__(self) -> str:
        return format(self)

    def __format__(self, spec: str) -> str:
        spec = spec or '.4g'
        if self.low == self.high:
            return format(self.low, spec)
        return f'{self.low:{spec}} to {self.high:{spec}}'

    @property
    def ends(self) -> tuple[float, float]:
        """``(low, high)``."""
        return self.low, self.high

    @property
    def exact(self) -> bool:
        """Whether both ends are equal."""
        return self.low == self.high

    def plus(self, other: 'Range') -> 'Range':
        """The sum with another range, of the same unit.

        Args:
            other (Range): Added end to end.

        Returns:
            Range: From ``low + other.low`` to ``high + other.high``.
        """
        return Range(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> 'Range':
        """The product with a number.

        Args:
            factor (float): A number that is known. A negative one swaps the
                ends.

        Returns:
            Range: From the smaller to the larger of the two products.
        """
        ends = self.low * factor, self.high * factor
        return Range(min(ends), max(ends))


#: A number, or a range where a figure of the chip that it needs is one.
Amount = float | Range


def as_range(value: Amount) -> Range:
    """A range, whatever an amount is: a number becomes one with equal ends.

    Args:
        value (float | Range): A number or a range.

    Returns:
        Range: The range itself, or both ends at the number.

    Example:
        >>> as_range(2.), as_range(Range(1., 2.)).high
        (Range(low=2.0, high=2.0), 2.0)
    """
    return value if isinstance(value, Range) else Range(value, value)


def scaled(value: Amount, factor: float) -> Amount:
    """The product of an amount with a number.

    Args:
        value (float | Range): A number or a range.
        factor (float): A number that is known.

    Returns:
        float | Range: Of the type of ``value``.

    Example:
        >>> scaled(2., 3), scaled(Range(1., 2.), 3)
        (6.0, Range(low=3.0, high=6.0))
    """
    return value.times(factor) if isinstance(value, Range) else value * factor


def added(values: Iterable[Amount]) -> Amount:
    """The sum of amounts of one unit.

    Args:
        values (Iterable[float | Range]): Numbers and ranges, mixed freely.

    Returns:
        float | Range: A range if one of the values is one; 0 of no value.

    Example:
        >>> added([1., 2.]), added([1., Range(1., 2.)])
        (3.0, Range(low=2.0, high=3.0))
    """
    values = list(values)
    if any(isinstance(v, Range) for v in values):
        ranges = [as_range(v) for v in values]
        return Range(math.fsum(r.low for r in ranges),
                     math.fsum(r.high for r in ranges))
    return math.fsum(values)


def divided(value: Amount, by: Amount) -> Amount:
    """The quotient of two amounts that depend on the same figures of a chip.

    If a figure has its low value, it has it above and below the line. So the
    low end is divided by the low end and the high by the high, never one by
    the other.

    Args:
        value (float | Range): The dividend.
        by (float | Range): The divisor.

    Returns:
        float | Range: A range if one of the two is one.

    Example:
        >>> divided(1., 2.), divided(Range(1., 3.), Range(4., 6.))
        (0.5, Range(low=0.25, high=0.5))
    """
    if not isinstance(value, Range) and not isinstance(by, Range):
        return value / by
    ends = [a / b for a, b in zip(as_range(value).ends, as_range(by).ends)]
    return Range(min(ends), max(ends))


def plain(value: Any) -> Any:
    """The plain form of results, which JSON can hold.

    Args:
        value (Any): A dataclass, such as an estimate or a :class:`Range`; a
            dict, list or tuple of them; a text or a number.

    Returns:
        Any: Dataclasses as dicts of their fields, tuples as lists, keys as
        texts, at every depth; all else as it is.

    Example:
        >>> plain((1, Range(1., 2.)))
        [1, {'low': 1.0, 'high': 2.0}]
    """
    if hasattr(value, '__dataclass_fields__'):
        return {
            name: plain(getattr(value, name))
            for name in value.__dataclass_fields__
        }
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


#: Probability that the confidence interval of a mean covers the true mean.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """A mean over images, and how sure it is.

    Attributes:
        mean (float): Mean per image, in the unit of what is measured.
        std (float | None): Standard deviation between images; None if there
            was a single run.
        low (float | None): Lower end of the mean's 95% confidence interval
            (Student's t; images are taken to be drawn at random).
        high (float | None): Its upper end.
        runs (int): Runs of the model.
        images (int): Images in all of them. Where runs hold several images,
            the deviation between images is that between runs, scaled.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    runs: int
    images: int

    @classmethod
    def of(cls, mean: float, std: float | None, runs: int,
           images: int) -> 'Spread':
        """Add the confidence interval of the mean.

        Args:
            mean (float): Mean per image.
            std (float | None): Standard deviation between images.
            runs (int): Runs of the model.
            images (int): Images in all of them.

        Returns:
            Spread: Without deviation and interval if there was one run.

        Example:
            >>> str(Spread.of(3.0, 1.0, 4, 4))  # 3.182 standard errors of 1/2
            '3, standard deviation 1, 95% interval of the mean 1.409 to 4.591
            (4 images)'
        """
        if std is None or runs < 2:
            return cls(mean, None, None, None, runs, images)
        quantile = stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1)
        half = quantile * std / math.sqrt(images)
        return cls(mean, std, float(mean - half), float(mean + half), runs,
                   images)

    def __str__(self) -> str:
        if self.std is None:
            return f'{self.mean:.4g} (one run: no deviation known)'
        return (f'{self.mean:.4g}, standard deviation {self.std:.2g}, 95% '
                f'interval of the mean {self.low:.4g} to {self.high:.4g} '
                f'({self.images} images)')
